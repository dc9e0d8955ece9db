"""An account's state: a pure function of its log (STORE.md rule 1). Nothing here reads a clock, a bucket or chance.

`apply` is the only way in which a state changes; it is given whole commits, in order, and each operation is evaluated
on the result of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import ge
from typing import Any, Final, cast
from unicodedata import normalize

from ..checksum import CHECKSUM_BYTES
from . import ops
from .annotations import SPECIAL_USE, Annotations, annotated
from .homes import Homes
from .mailbox import Mailbox
from .ops import Header
from .uidset import decode_ranges, decode_uids

INBOX = "INBOX"
DELIVERY_DAYS: Final = (
    30  # that a delivery id is remembered (STORE.md rule 17); part of the format, as replays must agree
)


class Inconsistent(Exception):
    """A commit does not follow from the state: a wrong `prev`, a UID used twice, a mailbox that is not there."""


class State:
    """Mailboxes, subscriptions and delivery ids after the commit `head`."""

    def __init__(self) -> None:
        self.head = 0
        self.head_id = ""
        self.head_at = 0
        self.shaped = 0  # the last commit that changed more than messages; what this was read from, if that is later
        self.floor = 0
        self.closed = False
        self.homes = Homes()
        self.boxes: dict[int, Mailbox] = {}
        self.names: dict[str, Mailbox] = {}
        self.subscriptions: set[str] = set()
        self.annotations: Annotations = {}
        self.next_box = 1
        self.last_uidvalidity = 0
        self.deliveries: dict[int, set[bytes]] = {}
        self.delivery_refs: dict[int, tuple[int, ops.PageRef]] = {}
        self.new_mailbox: Callable[[Mailbox], None] = lambda box: None

    @property
    def usage_bytes(self) -> int:
        return sum(box.bytes for box in self.boxes.values())

    @property
    def usage_messages(self) -> int:
        return sum(len(box.uids) for box in self.boxes.values())

    def find(self, name: str) -> Mailbox | None:
        """A mailbox by name; INBOX in any case (RFC 3501 §5.1), and names of before they were normalized by what they
        are in Unicode's form C."""
        found = self.names.get(name) or (self.names.get(INBOX) if name.upper() == INBOX else None)
        if found is None and not name.isascii():
            found = next((box for old, box in self.names.items() if normalize("NFC", old) == name), None)
        return found

    def knows_delivery(self, digest: bytes) -> bool:
        return any(digest in ids for ids in self.deliveries.values())

    def apply(self, commit: Header, header_bytes: int) -> None:
        """Apply a commit with a first line of `header_bytes`. Raises Inconsistent; then the state is unusable."""
        if commit.seq != self.head + 1 or commit.prev != self.head_id:
            raise Inconsistent(f"commit {commit.seq} after {self.head}: prev is {commit.prev!r}, not {self.head_id!r}")
        if self.closed:
            raise Inconsistent(f"commit {commit.seq} after close")
        self.head, self.head_id, self.head_at = commit.seq, commit.id, commit.at
        context = _Context(commit, header_bytes)
        for box, run in groupby(commit.ops, _appended_to):
            if box is not None:
                _append(self, cast(list[ops.Append], list(run)), context)
                continue
            for op in run:
                if type(op) not in _OF_MESSAGES:
                    self.shaped = commit.seq
                _APPLY[type(op)](self, op, context)
                context.index += 1
        self._forget_deliveries(commit.at // 86400)

    def _forget_deliveries(self, today: int) -> None:
        """As part of a commit, not of a checkpoint: else a state from the log would know more than one from pages."""
        for day in [day for day in self.deliveries if day < today - DELIVERY_DAYS]:
            del self.deliveries[day]
            self.delivery_refs.pop(day, None)

    def box(self, box: int) -> Mailbox:
        try:
            return self.boxes[box]
        except KeyError:
            raise Inconsistent(f"commit {self.head}: no mailbox {box}") from None

    def digest(self) -> object:
        """Everything that the log decides, to compare two replays."""
        return (
            self.head,
            self.head_id,
            self.closed,
            sorted(self.subscriptions),
            sorted(self.annotations.items()),
            self.next_box,
            self.last_uidvalidity,
            sorted((day, sorted(ids)) for day, ids in self.deliveries.items()),
            (self.homes.next_pack, sorted(self.homes.held())),
            [
                (
                    box.id,
                    box.name,
                    box.uidvalidity,
                    box.uidnext,
                    box.special_use,
                    box.object_id,
                    box.highest_modseq,
                    box.unseen,
                    box.bytes,
                    list(box.uids),
                    [sorted(box.flag_sets[flags]) for flags in box.flags],
                    list(box.modseqs),
                    list(box.sizes),
                    [self.homes.key(home) for home in box.homes],
                    sorted(box.annotations.items()),
                    sorted(box.acl.items()),
                    box.url_key,
                )
                for box in sorted(self.boxes.values(), key=lambda box: box.id)
            ],
        )


class _Context:
    __slots__ = ("commit", "header_bytes", "index", "key")

    def __init__(self, commit: Header, header_bytes: int) -> None:
        self.commit = commit
        self.header_bytes = header_bytes
        self.index = 0
        self.key = f"log/{commit.seq:020d}"

    def object_id(self, letter: str) -> str:
        """RFC 8474 §4: unique in the account, never used again."""
        return f"{letter}{self.commit.id}-{self.index:x}"


def _open(state: State, op: ops.Open, context: _Context) -> None:
    if context.commit.seq != 1 or context.index:
        raise Inconsistent("open is not the first operation")
    state.floor = state.last_uidvalidity = op.floor


def _create(state: State, op: ops.Create, context: _Context) -> None:
    if op.name in state.names or op.box in state.boxes or op.uidvalidity <= state.last_uidvalidity:
        raise Inconsistent(f"create {op.name!r}: the name, number or UIDVALIDITY is taken")
    box = Mailbox(op.box, op.name, op.uidvalidity, context.object_id("F"), op.use)
    box.highest_modseq = context.commit.seq
    box.renamed = (context.commit.seq, op.old)
    box.ledger = state.homes
    state.new_mailbox(box)
    state.boxes[op.box] = state.names[op.name] = box
    state.next_box = max(state.next_box, op.box + 1)
    state.last_uidvalidity = op.uidvalidity


def _rename(state: State, op: ops.Rename, context: _Context) -> None:
    box = state.box(op.box)
    if op.name in state.names:
        raise Inconsistent(f"rename to {op.name!r}: taken")
    del state.names[box.name]
    box.name = op.name
    state.names[op.name] = box


def _delete(state: State, op: ops.Delete, context: _Context) -> None:
    box = state.box(op.box)
    del state.boxes[op.box]
    del state.names[box.name]
    box.vacate()
    box.deleted = True


def _subscribe(state: State, op: ops.Subscribe, context: _Context) -> None:
    state.subscriptions.add(op.name)


def _unsubscribe(state: State, op: ops.Unsubscribe, context: _Context) -> None:
    state.subscriptions.discard(op.name)


def _annotate(state: State, op: ops.Annotate, context: _Context) -> None:
    if not op.box:
        state.annotations = annotated(state.annotations, op.entries)
        return
    box = state.box(op.box)
    uses = [value for name, value in op.entries if name == SPECIAL_USE]
    if uses:
        box.special_use = uses[-1] or None
    box.annotations = annotated(box.annotations, [entry for entry in op.entries if entry[0] != SPECIAL_USE])
    if op.modseq:
        box.highest_modseq = context.commit.seq


def _appended_to(op: ops.Operation) -> int | None:
    return op.box if isinstance(op, ops.Append) else None


def _append(state: State, run: Sequence[ops.Append], context: _Context) -> None:
    """One after the other, all to one mailbox."""
    box = state.box(run[0].box)
    uids, records = [op.uid for op in run], [op.rec for op in run]
    _fresh(box, uids[0])
    if any(map(ge, uids, uids[1:])):
        raise Inconsistent(f"UIDs of mailbox {box.id} that do not ascend")
    sets = {flags: box.flag_set(flags) for flags in dict.fromkeys([op.flags for op in run])}
    homes = [_home(state, record.loc[0], context) for record in records]
    box.add(context.commit.seq, uids, [sets[op.flags] for op in run], [record.size for record in records], homes)
    _add_records(box, uids, records, context, [f"{context.index + item:x}" for item in range(len(run))])
    context.index += len(run)
    delivered = [bytes.fromhex(op.did) for op in run if op.did]
    if delivered:
        state.deliveries.setdefault(context.commit.at // 86400, set()).update(delivered)


def _appends(state: State, op: ops.Appends, context: _Context) -> None:
    box, count = state.box(op.box), len(op.sizes)
    _fresh(box, op.uid)
    whole = len(op.sums) == 2 * CHECKSUM_BYTES * count and len(op.zones) in (0, count)
    if not count or not whole or any(len(each) not in (1, count) for each in (op.dates, op.flags)):
        raise Inconsistent(f"commit {state.head}: {count} messages that do not say all of each")
    uids = range(op.uid, op.uid + count)
    sets = {flags: box.flag_set(flags) for flags in dict.fromkeys(op.flags)}
    numbers = [sets[flags] for flags in op.flags]
    homes = [_home(state, op.key, context)] * count
    box.add(context.commit.seq, uids, numbers if len(numbers) == count else numbers * count, op.sizes, homes)
    email = f"M{context.commit.id}-{context.index:x}".encode()
    emails = [email, *[b"%b-%x" % (email, item) for item in range(1, count)]]
    key, start = (op.key, op.at) if op.key else (context.key, context.header_bytes + op.at)
    box.add_unscanned(op, key, start, emails)


def _add_records(
    box: Mailbox, uids: Sequence[int], records: Sequence[ops.Record], context: _Context, items: Sequence[str]
) -> None:
    """`items` end the EMAILIDs of those that have none yet (RFC 8474 §5.1)."""
    here, first = context.key, context.header_bytes
    places = [(key, offset) if key else (here, first + offset) for key, offset, _ in [each.loc for each in records]]
    start = f"M{context.commit.id}-"
    emails = [(record.eid or start + item).encode() for record, item in zip(records, items, strict=True)]
    box.add_records(uids, records, places, emails)


def _home(state: State, key: str, context: _Context) -> int:
    try:
        return state.homes.number(key) if key else context.commit.seq
    except ValueError as error:
        raise Inconsistent(f"commit {context.commit.seq}: {error}") from None


def _fresh(box: Mailbox, uid: int) -> None:
    if uid < box.uidnext:
        raise Inconsistent(f"UID {uid} of mailbox {box.id} was used before")


def _flags(state: State, op: ops.Flags, context: _Context) -> None:
    state.box(op.box).change_flags(context.commit.seq, decode_ranges(op.uids), op.add, op.remove, op.set)


def _expunge(state: State, op: ops.Expunge, context: _Context) -> None:
    state.box(op.box).expunge(context.commit.seq, decode_uids(op.uids))


def _copy(state: State, op: ops.Copy, context: _Context) -> None:
    source, target = state.box(op.box), state.box(op.to)
    uids = decode_uids(op.uids)
    _fresh(target, op.first)
    positions = [source.index(uid) for uid in uids]
    if min(positions, default=0) < 0:
        raise Inconsistent("copy of a message that is not there")
    sets = {index: target.flag_set(source.flag_sets[index]) for index in {source.flags[at] for at in positions}}
    if positions:
        details = [(sets[source.flags[at]], source.sizes[at], source.homes[at]) for at in positions]
        new = range(op.first, op.first + len(positions))
        target.add(context.commit.seq, new, *zip(*details, strict=True))
    if op.recs:
        items = [f"{context.index:x}" + (f"-{item:x}" if item else "") for item in range(len(op.recs))]
        _add_records(target, range(op.first, op.first + len(op.recs)), op.recs, context, items)
    target.add_pages(op.pages)
    if op.move:
        source.expunge(context.commit.seq, uids)


def _recent(state: State, op: ops.Recent, context: _Context) -> None:
    box = state.boxes.get(op.box)
    if box is not None:
        box.recent = max(box.recent, op.uid)


def _relocate(state: State, op: ops.Relocate, context: _Context) -> None:
    box = state.boxes.get(op.box)
    if box is None:
        return
    try:
        box.relocate(op.moves)
    except ValueError as error:
        raise Inconsistent(f"commit {context.commit.seq}: {error}") from None


def _grant(state: State, op: ops.Grant, context: _Context) -> None:
    box = state.box(op.box)
    if op.rights:
        box.acl[op.who] = (op.incarnation, op.rights)
    else:
        box.acl.pop(op.who, None)


def _url_key(state: State, op: ops.UrlKey, context: _Context) -> None:
    state.box(op.box).url_key = op.key


def _close(state: State, op: ops.Close, context: _Context) -> None:
    state.closed = True


_OF_MESSAGES = frozenset((ops.Append, ops.Appends, ops.Flags, ops.Expunge, ops.Copy, ops.Recent, ops.Relocate))

_APPLY: dict[type, Callable[[State, Any, _Context], None]] = {
    ops.Open: _open,
    ops.Create: _create,
    ops.Rename: _rename,
    ops.Delete: _delete,
    ops.Subscribe: _subscribe,
    ops.Unsubscribe: _unsubscribe,
    ops.Annotate: _annotate,
    ops.Appends: _appends,
    ops.Flags: _flags,
    ops.Expunge: _expunge,
    ops.Copy: _copy,
    ops.Recent: _recent,
    ops.Relocate: _relocate,
    ops.Grant: _grant,
    ops.UrlKey: _url_key,
    ops.Close: _close,
}
