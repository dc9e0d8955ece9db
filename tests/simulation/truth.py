"""One account (incarnation) as its log says, replayed as the log grows, and told of every object that goes.

It knows what is not in `State`: where each message's bytes are, by an implementation of its own, and who still names
which object. `Broken` is raised for what may never be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mailpod.checksum import checksum
from mailpod.mime.scan import scan
from mailpod.store import ops
from mailpod.store.checkpoint import Root, decode_root
from mailpod.store.location import Location
from mailpod.store.names import checkpoint_sequence, log_key
from mailpod.store.ops import Header, PageRef
from mailpod.store.page import Page, decode_meta, decode_table
from mailpod.store.state import Inconsistent, State
from mailpod.store.uidset import decode_uids

from .bucket import EPOCH, Bucket
from .faults import GRACE

DAY = GRACE / 3  # virtual seconds: what is kept for days is kept for so many of these
_RATE = 86_400 / DAY  # calendar seconds a virtual second

Key = tuple[int, int]  # mailbox, UID


class Broken(AssertionError):
    """An invariant does not hold; the text says which and where."""


class Truth:
    """`numbers`: which message a (mailbox, UID) is. `history`: the state's digest after each commit."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.state = State()
        self.history: dict[int, object] = {}
        self.ids: dict[int, str] = {}
        self.numbers: dict[Key, int] = {}
        self.live: set[Key] = set()
        self.count: Counter[int] = Counter()  # live copies of a message
        self.appended: Counter[int] = Counter()  # how often a message entered by APPEND or delivery, ever
        self.saved: dict[Key, int] = {}  # SAVEDATE
        self.entered: dict[Key, int] = {}  # of what the last commit put into mailboxes
        self.places: dict[Key, list[tuple[int, Location]]] = {}
        self.named: Counter[str] = Counter()  # object -> live messages whose bytes are in it
        self.closed_at: float | None = None  # bucket time
        self.checkpoints: dict[str, tuple[float, frozenset[str]]] = {}  # key -> bucket time, pages that it names
        self.roots: dict[str, Root] = {}
        self._missing: dict[str, set[str]] = {}  # checkpoint -> pages that it names and that are not there
        self.decoded: dict[str, Page] = {}

    # -- commits

    def committed(self, header: Header, header_bytes: int, body: bytes, now: float) -> bool:
        """A commit entered the log; False: it does not follow from what is there, and no reader may believe it."""
        state = self.state
        if header.seq != state.head + 1 or header.prev != state.head_id:
            return False
        if state.closed:
            raise Broken(f"commit {header.seq} was appended after close")
        before = {box.id: (box.uidnext, box.highest_modseq, box.uidvalidity) for box in state.boxes.values()}
        try:
            state.apply(header, header_bytes)
        except Inconsistent as error:
            raise Broken(f"a commit that cannot be applied entered the log: {error}") from error
        self.entered = {}
        for index, op in enumerate(header.ops):
            self._follow(header, index, op, header_bytes)
        self._compare_live()
        for box in state.boxes.values():
            uidnext, modseq, uidvalidity = before.get(box.id, (1, 1, box.uidvalidity))
            if box.uidnext < uidnext or box.highest_modseq < modseq or box.uidvalidity != uidvalidity:
                raise Broken(f"UIDNEXT or HIGHESTMODSEQ of mailbox {box.id} fell at {header.seq}")
            if max(box.modseqs, default=0) > header.seq or box.highest_modseq > header.seq:
                raise Broken(f"a MODSEQ of mailbox {box.id} is above the head {header.seq}")
            if any(one >= two for one, two in zip(box.uids, box.uids[1:], strict=False)):
                raise Broken(f"UIDs of mailbox {box.id} do not ascend at {header.seq}")
        self.history[header.seq] = state.digest()
        self.ids[header.seq] = header.id
        if state.closed:
            self.closed_at = now
        return True

    def _follow(self, header: Header, index: int, op: ops.Operation, header_bytes: int) -> None:
        if isinstance(op, ops.Append):
            number = number_of(op.rec.env)
            self.appended[number] += 1
            self._enter(op.box, op.uid, number, op.rec.saved)
            self._place(op.box, op.uid, _whole(op.rec, header.seq, header_bytes))
        elif isinstance(op, ops.Appends):
            for uid, at in enumerate(self._together(header.seq, header_bytes, op), op.uid):
                self._place(op.box, uid, at)
                data = self.bucket.get(self.prefix + at.key) or b""
                number = number_of(scan(data[at.offset : at.offset + at.length]).envelope.decode())
                self.appended[number] += 1
                self._enter(op.box, uid, number, op.saved)
        elif isinstance(op, ops.Copy):
            sources = decode_uids(op.uids)
            for offset, (at, saved) in enumerate(self._copied(op)):
                self._enter(op.to, op.first + offset, self.numbers[op.box, sources[offset]], saved)
                self._place(op.to, op.first + offset, at)
        elif isinstance(op, ops.Relocate):
            for uid, old_key, old_offset, key, offset in op.moves:
                now = self.place(op.box, uid)
                if now is not None and (now.key, now.offset) == (old_key, old_offset):
                    self._place(op.box, uid, Location(key, offset, now.length, now.checksum))

    def _together(self, sequence: int, header_bytes: int, op: ops.Appends) -> Iterator[Location]:
        key, start = (op.key, op.at) if op.key else (f"log/{sequence:020d}", header_bytes + op.at)
        for row, size in enumerate(op.sizes):
            digest = bytes.fromhex(op.sums[32 * row : 32 * row + 32])
            yield Location(key, start, size, digest)
            start += size

    def _copied(self, op: ops.Copy) -> Iterator[tuple[Location, int]]:
        """Where the bytes are, and SAVEDATE."""
        for record in op.recs:
            key, offset, length = record.loc
            yield Location(key, offset, length, bytes.fromhex(record.sum)), record.saved
        for ref in op.pages:
            data = self.bucket.get(f"{self.prefix}page/{ref.id}")
            if data is None:
                raise Broken(f"commit {self.state.head} names page {ref.id}, which is not there")
            page = decode_meta(data, ref.sum)
            for row in range(len(page)):
                yield page.location(row), page.saved[row]

    def _enter(self, box: int, uid: int, number: int, saved: int) -> None:
        if (box, uid) in self.numbers:
            raise Broken(f"UID {uid} of mailbox {box} was given twice")
        self.numbers[box, uid] = number
        self.saved[box, uid] = self.entered[box, uid] = saved

    def place(self, box: int, uid: int, seq: int | None = None) -> Location | None:
        """Where the bytes of a live message are, now or after commit `seq`."""
        if seq is None:
            return self.places[box, uid][-1][1] if (box, uid) in self.live else None
        return next((at for since, at in reversed(self.places.get((box, uid), [])) if since <= seq), None)

    def _place(self, box: int, uid: int, at: Location) -> None:
        """The bytes must be there before anything says that they are (STORE.md rule 5)."""
        data = self.bucket.get(self.prefix + at.key)
        if data is None:
            raise Broken(f"commit {self.state.head} names {at.key} for message {box}/{uid}, which is not there")
        if checksum(data[at.offset : at.offset + at.length]) != at.checksum:
            raise Broken(f"commit {self.state.head} names bytes in {at.key} that are not message {box}/{uid}")
        if (box, uid) in self.live:
            self.named[self.places[box, uid][-1][1].key] -= 1
            self.named[at.key] += 1
        self.places.setdefault((box, uid), []).append((self.state.head, at))

    def _compare_live(self) -> None:
        live = {(box.id, uid) for box in self.state.boxes.values() for uid in box.uids}
        for key in live - self.live:
            self.named[self.places[key][-1][1].key] += 1
            self.count[self.numbers[key]] += 1
        for key in self.live - live:
            self.named[self.places[key][-1][1].key] -= 1
            self.count[self.numbers[key]] -= 1
        self.live = live

    # -- checkpoints

    def checkpointed(self, key: str, data: bytes, now: float) -> Root:
        """A checkpoint was published; its pages are noted. They need not all be there (STORE.md rule 9)."""
        root = self.roots[key] = decode_root(data)
        if self.history and self.ids.get(root.seq) != root.id:
            raise Broken(f"checkpoint {root.seq} is of another commit than the log's")
        self.checkpoints[key] = (now, frozenset(self._pages(root)))
        objects = self.bucket.objects
        self._missing[key] = {page for page in self.checkpoints[key][1] if f"{self.prefix}page/{page}" not in objects}
        return root

    def missing(self, key: str) -> set[str]:
        """Pages that a checkpoint names and that are not there."""
        return self._missing[key]

    def page_created(self, page: str) -> None:
        """One that a checkpoint named may land late."""
        for missing in self._missing.values():
            missing.discard(page)

    def page_gone(self, page: str) -> None:
        for key, missing in self._missing.items():
            if page in self.checkpoints[key][1]:
                missing.add(page)

    def _pages(self, root: Root) -> Iterator[str]:
        for box in root.boxes:
            for ref in (*box.pages, *box.state):
                yield ref.id
                if ref.table:
                    yield from (inner.id for inner in self._table(ref))
        yield from (ref.id for _, ref in root.deliveries)

    def _table(self, ref: PageRef) -> list[PageRef]:
        data = self.bucket.get(f"{self.prefix}page/{ref.id}")
        return decode_table(data, ref.sum) if data is not None else []

    def whole(self) -> list[str]:
        """Keys of the checkpoints all of whose pages are there, the newest first."""
        objects = self.bucket.objects
        return [key for key in sorted(self.checkpoints) if key in objects and not self._missing[key]]

    # -- what goes

    def deleting(self, key: str, now: float, began: float) -> None:
        """An object of this account is about to go, by somebody who began to look at bucket time `began`."""
        if self.closed_at is not None and now - self.closed_at >= GRACE:
            return  # a purge; before that, whoever deletes may only collect
        name = key.removeprefix(self.prefix)
        kind = name.partition("/")[0]
        if kind in ("log", "pack") and self.named[name] > 0:
            raise Broken(f"{name} was deleted, and {self.named[name]} live messages are in it")
        whole = self.whole()
        # of what whoever deletes could have seen; a checkpoint published since, on an old base, is rule 9's matter
        kept = [
            found for found in whole
            if self.checkpoints[found][0] <= began
            and (found in whole[:2] or self.checkpoints[found][0] > now - GRACE)
        ]  # fmt: skip
        if kind == "log":
            self._check_commit(int(name[4:]), whole, now)
        if kind == "page" and any(name[5:] in self.checkpoints[found][1] for found in kept):
            raise Broken(f"{name} was deleted, and a checkpoint that is kept names it")
        if kind == "checkpoint" and key in kept:
            raise Broken(f"{name} was deleted, and is one of the newest two that are whole, or younger than GRACE")

    def _check_commit(self, sequence: int, whole: list[str], now: float) -> None:
        old = [key for key, (made, _) in self.checkpoints.items() if made <= now - GRACE]
        if not any(checkpoint_sequence(found) >= sequence for found in old):
            raise Broken(f"commit {sequence} was deleted, and no checkpoint at or above it is older than GRACE")
        if sequence > min(map(checkpoint_sequence, whole[:2]), default=0):
            raise Broken(f"commit {sequence} was deleted, and is after the older of the two newest checkpoints")

    def check_openable(self) -> None:
        """From the newest whole checkpoint, or the beginning, every commit up to the head is there."""
        if self.state.closed:
            return
        whole = self.whole()
        base = checkpoint_sequence(whole[0]) if whole else 0
        for sequence in range(base + 1, self.state.head + 1):
            data = self.bucket.get(log_key(self.prefix, sequence))
            if data is None:
                raise Broken(f"commit {sequence} is gone, above the newest whole checkpoint {base}")
            if f'"id":"{self.ids[sequence]}"'.encode() not in data[:200]:
                raise Broken(f"commit {sequence} is another than the log had")


def _whole(record: ops.Record, sequence: int, header_bytes: int) -> Location:
    key, offset, length = record.loc
    if not key:
        key, offset = f"log/{sequence:020d}", header_bytes + offset
    return Location(key, offset, length, bytes.fromhex(record.sum))


def number_of(envelope: str) -> int:
    """The number that a client gave its message, from ENVELOPE's subject."""
    return int(envelope.split('"message ')[1].split('"')[0])


def bucket_time(now: float) -> float:
    return EPOCH + now


def calendar(now: float) -> float:
    """The time of day at a virtual time, as clocks that are right have it."""
    return EPOCH + _RATE * now
