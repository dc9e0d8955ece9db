"""Walking an account's log from its earliest known state to its head, by checkpoints past what is damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mailpod.store.check.contents import Contents, each, spans
from mailpod.store.check.finding import Findings
from mailpod.store.check.index import Index, MissingPage, sums
from mailpod.store.names import checkpoint_key, log_key
from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.ops import BadCommit, Copy, Create, Header, UnknownOperation, decode_header
from mailpod.store.page import BadPage
from mailpod.store.state import Inconsistent, State

HEADER_BYTES: Final = 16 << 10
_CHUNK: Final = 64  # commits whose headers are read ahead
_DELIVERY_DAYS: Final = 30  # older delivery ids may be left out of a checkpoint (STORE.md rule 17)


@dataclass(slots=True)
class Walk:
    """What the walk came to. `state` is None where the account cannot be opened at all."""

    state: State | None = None
    stopped: int = 0
    """The commit from which on nothing can be applied; 0: none, the state is that of the head."""
    reason: str = ""
    bad: set[int] = field(default_factory=set)
    """Commits that cannot be read or do not follow."""
    wrong: set[int] = field(default_factory=set)
    """Checkpoints that are whole and differ from the log."""
    copied_pages: set[str] = field(default_factory=set)
    """Pages that commits name (COPY of many)."""
    lines: dict[int, int] = field(default_factory=dict)
    """Octets of the first line of each readable commit."""
    last_uidvalidity: int = 0
    """The highest in any readable commit or checkpoint."""
    start: int = 0


async def read_header(objects: ObjectStore, prefix: str, seq: int) -> tuple[Header, int] | str | None:
    """A commit's header and its line's length; a sentence where it is damaged; None where it is gone."""
    key = log_key(prefix, seq)
    try:
        data, size = await objects.get_head(key, HEADER_BYTES)
        end = data.find(b"\n")
        if end < 0 and len(data) < size:
            data = await objects.get(key)
            end = data.find(b"\n")
    except NotFound:
        return None
    try:
        if end < 0:
            return "its first line has no end"
        header = decode_header(memoryview(data)[:end])
    except (BadCommit, UnknownOperation) as error:
        return f"its first line cannot be read ({error})"
    if size != end + 1 + header.bytes:
        return f"it has {size} bytes, and should have {end + 1 + header.bytes}"
    return header, end + 1


_HOLE: Final = "it is gone, and no checkpoint above it is whole"  # as it should be where one is


class _Walker:
    def __init__(self, objects: ObjectStore, found: Contents, index: Index, findings: Findings) -> None:
        self._objects = objects
        self._found = found
        self._index = index
        self._findings = findings
        self._whole = index.whole()
        self._loadable = index.loadable()
        self._limit = found.head
        self._half = False
        self._does_not_follow = False
        self.walk = Walk()

    async def run(self) -> Walk:
        """Once; and again to just before a commit that was applied by half, where nothing goes on after it."""
        walk = await self._run()
        if self._half:
            self._limit = walk.stopped - 1
            self._half = False
            await self._run()
        return walk

    async def _run(self) -> Walk:
        found, walk = self._found, self.walk
        if 1 in found.commits:
            state: State | None = State()
            assert state is not None
            state.new_mailbox = self._index.attach
        else:
            state = await self._jump(1)
        if state is None:
            return walk
        walk.start = state.head
        walk.state = state
        while state is not None and state.head < self._limit:
            state = await self._stretch(state)
        return walk

    async def _stretch(self, state: State) -> State | None:
        """Apply some commits; where one cannot be, go on from the next checkpoint, None where there is none."""
        first = state.head + 1
        numbers = range(first, min(first + _CHUNK, self._limit + 1))
        headers = await each(lambda seq: self._header(seq), numbers)
        for seq, header in zip(numbers, headers, strict=True):
            trouble = header if isinstance(header, str) else self._apply(state, seq, header)
            if trouble:
                return await self._pass(state, seq, trouble)
            await self._compare(state)
        self.walk.state = state
        return state

    async def _pass(self, state: State, seq: int, trouble: str) -> State | None:
        """Past a commit that cannot be applied, by the next checkpoint."""
        if seq in self._found.commits:
            self.walk.bad.add(seq)
        after = await self._jump(seq)
        if after is None or trouble != _HOLE:
            self._findings.damage(
                log_key(self._found.prefix, seq), *self._damage(seq, trouble, after), repair="restore"
            )
        if after is None:
            self.walk.stopped, self.walk.reason, self.walk.state = seq, trouble, state
        else:
            self._half = False
        return after

    async def _header(self, seq: int) -> tuple[Header, int] | str | None:
        if seq not in self._found.commits:
            return None
        found = await read_header(self._objects, self._found.prefix, seq)
        if isinstance(found, tuple):
            self.walk.lines[seq] = found[1]
            for op in found[0].ops:
                if isinstance(op, Create):
                    self.walk.last_uidvalidity = max(self.walk.last_uidvalidity, op.uidvalidity)
                elif isinstance(op, Copy):
                    self.walk.copied_pages.update(ref.id for ref in op.pages)
        return found

    def _apply(self, state: State, seq: int, found: tuple[Header, int] | None) -> str:
        """What is wrong with it; "" where it was applied; _HOLE where it may well be gone."""
        self._does_not_follow = False
        if found is None:
            newest = sorted(self._found.checkpoints)[-2:]
            # STORE.md rule 12: commits after the older of the newest two are never collected
            return _HOLE if newest and seq <= newest[0] else "it is not there"
        head = state.head
        try:
            state.apply(*found)
        except Inconsistent as error:
            self._half = state.head != head
            self._does_not_follow = True
            return str(error)
        return ""

    def _damage(self, seq: int, trouble: str, after: State | None) -> tuple[str, str]:
        kind = "commit-missing" if seq not in self._found.commits else "commit-damaged"
        if self._does_not_follow:
            kind = "commit-does-not-follow"
        if after is not None:
            effect = f"the checkpoint of commit {after.head} has what it did, so only bytes kept in it can be lost"
        else:
            later = sum(1 for other in self._found.commits if other > seq)
            effect = f"the account is readable as of commit {seq - 1} and takes no changes until it is restored"
            effect += f"; {later} commits after it cannot be used either" if later else ""
        return kind, f"Commit {seq} cannot be used: {trouble}; {effect}."

    async def _jump(self, seq: int) -> State | None:
        """The state of the first whole checkpoint at or above `seq`; else of one that lacks metadata only."""
        for candidate in [*self._whole, *self._loadable]:
            if candidate >= seq:
                try:
                    state = await self._index.state(candidate)
                except (BadPage, MissingPage):
                    continue
                self.walk.state = state
                key = checkpoint_key(self._found.prefix, candidate)
                sums(self._index.roots[candidate], state, key, self._findings, repair="restore")
                return state
        return None

    async def _compare(self, state: State) -> None:
        """The log is what counts (STORE.md rule 1): a checkpoint that says otherwise is wrong."""
        seq = state.head
        if seq not in self._whole:
            return
        key, root = checkpoint_key(self._found.prefix, seq), self._index.roots[seq]
        self.walk.last_uidvalidity = max(self.walk.last_uidvalidity, root.last_uidvalidity)
        try:
            loaded = await self._index.state(seq)
        except (BadPage, MissingPage) as error:
            trouble = str(error)
        else:
            sums(root, loaded, key, self._findings)
            trouble = "" if same(loaded, state) else "it differs from what the commits before it make"
        if trouble:
            self.walk.wrong.add(seq)
            self._findings.damage(
                key,
                "checkpoint-differs",
                f"The checkpoint of commit {seq} cannot be trusted: {trouble}. Pods that open the account show a wrong"
                " state.",
                repair="checkpoint",
            )


def same(loaded: State, replayed: State) -> bool:
    """Whether a checkpoint says what the log says; old delivery ids may be left out of it."""
    kept = replayed.deliveries
    oldest = replayed.head_at // 86400 - _DELIVERY_DAYS
    replayed.deliveries = {day: ids for day, ids in kept.items() if day in loaded.deliveries or day >= oldest}
    try:
        return loaded.digest() == replayed.digest()
    finally:
        replayed.deliveries = kept


async def walk_log(objects: ObjectStore, found: Contents, index: Index, findings: Findings) -> Walk:
    """Raises StorageError."""
    walker = _Walker(objects, found, index, findings)
    walk = await walker.run()
    walk.last_uidvalidity = max(
        [walk.last_uidvalidity, *(root.last_uidvalidity for root in index.roots.values())], default=0
    )
    holes = sorted(set(range(walk.start + 1, found.head + 1)) - found.commits.keys() - walk.bad)
    newest = sorted(found.checkpoints)[-2:]
    after = [seq for seq in holes if not newest or seq > newest[0]]
    if len(after) > 1:
        findings.add("gap", f"{found.prefix}log/", f"Commits {spans(after)} are missing.")
    return walk
