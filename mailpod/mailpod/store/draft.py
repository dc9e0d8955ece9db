"""A commit while it is built: what operations decide on the newest state, with the ones before them in the batch.

An intent either adds all of its operations to the draft or raises and adds none. Intents that look at more than
counters (names, live messages) are `exclusive`: they are the only one in their commit, so that they see a state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from math import inf

from ..errors import (
    CannotDo,
    Expunged,
    HasChildren,
    LimitReached,
    MailboxExists,
    NoSuchMailbox,
    OverQuota,
    TryCreate,
    Unavailable,
    UseNotPossible,
)
from . import keywords, ops
from .mailbox import Mailbox
from .objects import Buffer
from .rights import nearest_above
from .settings import StoreSettings
from .state import INBOX, State
from .uidset import encode_uids

Move = tuple[int, str, int, str, int]  # UID, old key and offset, new key and offset


@dataclass(frozen=True, slots=True)
class Limits:
    """A quota, evaluated inside the commit; None is no limit."""

    bytes: int | None = None
    messages: int | None = None

    def with_room(self, size: int, count: int) -> Limits:
        """For a commit in which so much goes."""
        return Limits(
            None if self.bytes is None else self.bytes + size,
            None if self.messages is None else self.messages + count,
        )


@dataclass(frozen=True, slots=True)
class Appended:
    """UIDs of what was added; `duplicate`: the delivery id was known, and nothing was."""

    uidvalidity: int
    uids: list[int]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Copied:
    """UIDs of the messages and of their copies, pair by pair."""

    uidvalidity: int
    source: list[int]
    target: list[int]


@dataclass(slots=True)
class Prepared:
    """A message ready for a commit: its record, and its bytes unless they already lie in a pack.

    `posted` is when the upload of that pack began, `not_after` until when it may be committed (Clock.elapsed).
    """

    record: ops.Record
    data: Buffer | None
    flags: tuple[str, ...]
    delivery: str = ""
    posted: float = inf
    not_after: float = inf


@dataclass(slots=True)
class Draft:
    """Operations and bytes of the next commit, on top of `state`. `now` is for people, `elapsed` for ages.

    `posted` is the age of the oldest object of the commit's own that it refers to: when its upload began.
    """

    state: State
    settings: StoreSettings
    now: int
    elapsed: float = 0.0
    posted: float = inf
    operations: list[ops.Operation] = field(default_factory=list)
    body: list[Buffer] = field(default_factory=list)
    sums: list[bytes] = field(default_factory=list)  # of the messages in `body`
    body_bytes: int = 0
    added_bytes: int = 0
    added_messages: int = 0
    uidnext: dict[int, int] = field(default_factory=dict)
    deliveries: set[str] = field(default_factory=set)
    flagged: set[int] = field(default_factory=set)

    def box(self, name: str) -> Mailbox:
        """Raises TryCreate."""
        box = self.state.find(name)
        if box is None:
            raise TryCreate(name)
        return box

    def _live(self, mailbox: Mailbox) -> Mailbox:
        box = self.state.boxes.get(mailbox.id)
        if box is None:
            raise NoSuchMailbox(mailbox.name)
        return box

    def check_quota(self, limits: Limits | None, size: int, count: int) -> None:
        if limits is None:
            return
        if limits.bytes is not None and self.state.usage_bytes + self.added_bytes + size > limits.bytes:
            raise OverQuota
        if limits.messages is not None and self.state.usage_messages + self.added_messages + count > limits.messages:
            raise OverQuota("Mailbox has reached its number of messages")

    def append(self, name: str, messages: Sequence[Prepared], limits: Limits | None) -> Appended:
        box = self.box(name)
        fresh = [message for message in messages if not self._delivered(message.delivery)]
        if not fresh:
            return Appended(box.uidvalidity, [], duplicate=True)
        size = sum(message.record.size for message in fresh)
        self.check_quota(limits, size, len(fresh))
        if any(self.is_old(message.posted) or self.elapsed > message.not_after for message in fresh):
            raise Unavailable  # it is sent again, and then uploaded again
        keywords.check(box, {flag for message in fresh for flag in message.flags}, self.settings)
        uid = first = self.uidnext.get(box.id, box.uidnext)
        for message in fresh:
            record = message.record
            self.posted = min(self.posted, message.posted)
            if message.data is not None:
                record = ops.replace_location(record, ("", self.body_bytes, record.loc[2]))
                self.body.append(message.data)
                self.sums.append(bytes.fromhex(record.sum))
                self.body_bytes += len(message.data)
            self.operations.append(ops.Append(box.id, uid, record, message.flags, message.delivery))
            if message.delivery:
                self.deliveries.add(message.delivery)
            uid += 1
        self.uidnext[box.id] = uid
        self.added_bytes += size
        self.added_messages += len(fresh)
        return Appended(box.uidvalidity, list(range(first, uid)))

    def is_old(self, posted: float) -> bool:
        """STORE.md rule 10: a commit refers to no object of its own older than a day; it might be collected."""
        return self.elapsed - posted >= self.settings.own_object_age

    def _delivered(self, delivery: str) -> bool:
        return bool(delivery) and (delivery in self.deliveries or self.state.knows_delivery(bytes.fromhex(delivery)))

    def store_flags(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        mode: str,
        flags: Collection[str],
        unchanged_since: int | None = None,
        spared: Callable[[str], bool] | None = None,
    ) -> list[int]:
        """Returns the UIDs whose modseq is above `unchanged_since`: they stay as they are (RFC 7162 §3.1.3).

        `spared` are flags that "set" leaves as they are.
        """
        box = self._live(mailbox)
        flags, introduced = keywords.named(box, mode, flags, self.settings)
        modified: list[int] = []
        if unchanged_since is not None:
            places = ((uid, box.index(uid)) for uid in uids)
            modified = [uid for uid, at in places if at >= 0 and box.modseqs[at] > unchanged_since]
            failed = frozenset(modified)
            uids = [uid for uid in uids if uid not in failed]
        if mode == "set" and spared is not None:
            return modified + self._replace_but(box, uids, flags, spared)
        # The filter saves a commit where nothing changes; behind another change in this draft it would be wrong.
        changed = list(uids) if box.id in self.flagged else box.plan_flags(uids, mode, flags)
        if introduced and not changed:
            changed = list(uids[:1])
        if not changed:
            return modified
        self.flagged.add(box.id)
        given = tuple(flags)
        self.operations.append(
            ops.Flags(
                box.id,
                encode_uids(changed),
                add=() if mode == "remove" else given,
                remove=given if mode == "remove" else (),
                set=mode == "set",
            )
        )
        return modified

    def _replace_but(
        self, box: Mailbox, uids: Sequence[int], flags: Collection[str], spared: Callable[[str], bool]
    ) -> list[int]:
        given = {flag.lower() for flag in flags}
        there = {flag for have in box.flag_sets for flag in have}
        gone = tuple(sorted(flag for flag in there if flag.lower() not in given and not spared(flag)))
        live = [uid for uid in uids if box.index(uid) >= 0]
        if live and (flags or gone):
            self.flagged.add(box.id)
            self.operations.append(ops.Flags(box.id, encode_uids(live), add=tuple(flags), remove=gone))
        return []

    def expunge(self, mailbox: Mailbox, uids: Sequence[int]) -> list[int]:
        box = self._live(mailbox)
        live = [uid for uid in uids if box.index(uid) >= 0]
        if live:
            self.operations.append(ops.Expunge(box.id, encode_uids(live)))
        return live

    def replace(self, mailbox: Mailbox, uid: int, name: str, message: Prepared, limits: Limits | None) -> Appended:
        """`message` comes and `uid` goes. Raises Expunged where that is gone, and what append() raises."""
        box = self._live(mailbox)
        at = box.index(uid)
        if at < 0:
            raise Expunged
        added = self.append(name, [message], limits and limits.with_room(box.sizes[at], 1))
        self.operations.append(ops.Expunge(box.id, encode_uids([uid])))
        return added

    def copy(self, mailbox: Mailbox, target: str, source: CopySource, limits: Limits | None, move: bool) -> Copied:
        """`source` was read before; messages that went or moved meanwhile raise Stale, and it is read again."""
        box, to = self._live(mailbox), self.box(target)
        self._check_source(box, source)
        first = to.uidnext
        count = len(source.uids)
        if not count:
            return Copied(to.uidvalidity, [], [])
        if not move:
            self.check_quota(limits, sum(box.sizes[box.index(uid)] for uid in source.uids), count)
        flags = {flag for uid in source.uids for flag in box.flag_sets[box.flags[box.index(uid)]]}
        keywords.check(to, flags, self.settings)
        pages = tuple(ops.shift_page(ref, first - 1) for ref in source.pages)
        self.operations.append(
            ops.Copy(box.id, to.id, encode_uids(source.uids), first, tuple(source.records), pages, move=move)
        )
        return Copied(to.uidvalidity, source.uids, list(range(first, first + count)))

    def relocate(self, box: int, moves: Sequence[Move], posted: float) -> int:
        """Those of `moves` whose old location is current (STORE.md rule 10); returns how many. Raises Stale."""
        if self.is_old(posted):
            raise Stale
        mailbox = self.state.boxes.get(box)
        if mailbox is None:
            return 0
        homes = self.state.homes
        places = ((move, mailbox.index(move[0])) for move in moves)
        current = [move for move, at in places if at >= 0 and mailbox.homes[at] == homes.find(move[1])]
        if current:
            self.posted = min(self.posted, posted)
            self.operations.append(ops.Relocate(box, tuple(current)))
        return len(current)

    def _check_source(self, box: Mailbox, source: CopySource) -> None:
        """STORE.md rule 11: bytes that no message refers to any more are never referred to again."""
        homes = {key: self.state.homes.find(key) for key in set(source.keys)}
        for uid, key in zip(source.uids, source.keys, strict=True):
            at = box.index(uid)
            if at < 0 or box.homes[at] != homes[key]:
                raise Stale
        if self.is_old(source.posted):
            raise Stale
        self.posted = min(self.posted, source.posted)

    # -- names

    def create(self, name: str, use: str | None, old: str = "") -> None:
        """With the parents that are missing (RFC 3501 §6.3.3)."""
        self._check_name(name)
        if self.state.find(name) is not None:
            raise MailboxExists(name)
        if use is not None and any(box.special_use == use for box in self.state.boxes.values()):
            raise UseNotPossible(f"Another mailbox is {use} already")
        self._create_parents(name)
        self._add_box(name, use, old)

    def _create_parents(self, name: str) -> None:
        parts = name.split("/")
        for parent in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
            if self.state.find(parent) is None and not self._pending(parent):
                self._add_box(parent, None)

    def _pending(self, name: str) -> bool:
        return any(isinstance(op, ops.Create) and op.name == name for op in self.operations)

    def _add_box(self, name: str, use: str | None, old: str = "") -> None:
        made = [op for op in self.operations if isinstance(op, ops.Create)]
        if len(self.state.boxes) + len(made) >= self.settings.mailboxes:
            raise LimitReached(f"An account may have {self.settings.mailboxes} mailboxes")
        last = made[-1].uidvalidity if made else self.state.last_uidvalidity
        uidvalidity = max(self.now, last + 1, self.state.floor + 1)
        number = self.state.next_box + len(made)
        self.operations.append(ops.Create(number, name, uidvalidity, use, old))
        # RFC 4314 §4: a new mailbox SHOULD inherit the list of the one above it
        above = nearest_above(self.state, name)
        for who, (incarnation, rights) in sorted(above.acl.items()) if above is not None else ():
            self.operations.append(ops.Grant(number, who, incarnation, rights))

    def _check_name(self, name: str) -> None:
        if not name or name.startswith("/") or name.endswith("/") or "//" in name:
            raise CannotDo(f"Not a mailbox name: {name}")
        if len(name.encode()) > self.settings.name_bytes:
            raise LimitReached(f"A mailbox name may have {self.settings.name_bytes} bytes")
        if name.upper() == INBOX and name != INBOX:
            raise MailboxExists(INBOX)

    def delete(self, name: str) -> None:
        """Mailboxes below stay (RFC 3501 §6.3.4)."""
        box = self.state.find(name)
        if box is None:
            below = any(box.name.startswith(f"{name}/") for box in self.state.boxes.values())
            raise HasChildren(name) if below else NoSuchMailbox(name)
        if box.name == INBOX:
            raise CannotDo("INBOX cannot be deleted")
        self.operations.append(ops.Delete(box.id))

    def rename(self, old: str, new: str) -> None:
        """With the mailboxes below; INBOX is renamed by RenameInbox (RFC 3501 §6.3.5)."""
        self._check_name(new)
        if self.state.find(new) is not None:
            raise MailboxExists(new)
        found = self.state.find(old)
        old = found.name if found is not None else old
        below = old + "/"
        if new.startswith(below):
            raise CannotDo("A mailbox cannot be renamed below itself")
        moved = [box for box in self.state.boxes.values() if box.name == old or box.name.startswith(below)]
        if not moved:
            raise NoSuchMailbox(old)
        renames = [(box, new + box.name[len(old) :]) for box in moved]
        for _, name in renames:
            self._check_name(name)
            if self.state.find(name) is not None:
                raise MailboxExists(name)
        self._create_parents(new)
        self.operations.extend(ops.Rename(box.id, name) for box, name in renames)

    def rename_inbox(self, new: str, source: CopySource) -> None:
        """INBOX's messages move to a new mailbox, and INBOX stays, empty (RFC 3501 §6.3.5)."""
        inbox = self.state.names[INBOX]
        if list(inbox.uids) != source.uids:
            raise Stale
        self._check_source(inbox, source)
        self.create(new, None, INBOX)
        target = next(op for op in self.operations if isinstance(op, ops.Create) and op.name == new)
        if source.uids:
            pages = tuple(source.pages)
            uids = encode_uids(source.uids)
            self.operations.append(ops.Copy(inbox.id, target.box, uids, 1, tuple(source.records), pages, move=True))
        if inbox.annotations:  # RFC 5464 §4.1: both have them then
            self.operations.append(ops.Annotate(target.box, tuple(inbox.annotations.items())))

    def subscribe(self, name: str) -> None:
        if (
            len(name.encode()) > self.settings.name_bytes
            or len(self.state.subscriptions) >= 2 * self.settings.mailboxes
        ):
            raise LimitReached("Too many subscriptions, or too long a name")
        if name not in self.state.subscriptions:
            self.operations.append(ops.Subscribe(name))

    def unsubscribe(self, name: str) -> None:
        if name in self.state.subscriptions:
            self.operations.append(ops.Unsubscribe(name))

    def add_recent(self) -> None:
        """Marks of \\Recent ride along with a commit that is made anyway."""
        if self.operations:
            marks = [box for box in self.state.boxes.values() if box.recent_dirty]
            self.operations.extend(ops.Recent(box.id, box.recent) for box in marks)


class Stale(Exception):
    """What was read for this operation is no longer so: read again."""


@dataclass(frozen=True, slots=True)
class CopySource:
    """What a COPY brings: UIDs, and their records or pages (whose UIDs are 1, 2, … in order).

    `keys` are the objects in which each message's bytes were found, `posted` when the upload of the first page began.
    """

    uids: list[int]
    keys: list[str]
    records: list[ops.Record]
    pages: list[ops.PageRef]
    posted: float = inf
