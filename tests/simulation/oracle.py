"""What must be true, whatever happened: checked as objects come and go, and as clients are told things.

Each message that a client sends carries a number of its own in its subject; each acknowledged change is noted. An
operation without an answer may have happened, at any later time, once or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mailpod.store import ops
from mailpod.store.names import encode_local_part
from mailpod.store.ops import decode_header
from mailpod.store.state import State
from mailpod.store.uidset import decode_uids

from .activity import current
from .authorizing import Keys
from .bucket import Bucket
from .faults import GRACE
from .keeping import check_binned, check_expired
from .rights import Guests
from .truth import Broken, Truth, bucket_time


@dataclass
class Copy:
    """One message in one account, as its clients know it."""

    number: int
    prefix: str = ""  # the incarnation that acknowledged it
    acknowledged: bool = False
    gone: str = "no"  # "asked": an expunge without an answer; "yes": an acknowledged one
    flags: dict[str, bool] = field(default_factory=dict)  # acknowledged, with nothing asked after
    unsure: set[str] = field(default_factory=set)  # flags that an unanswered command may have changed
    copies: list[int] = field(default_factory=lambda: [1, 1])  # fewest and most that there may be
    binned: float | None = None  # virtual time, when first a client put one into the bin


@dataclass
class Address:
    """A mailbox address and its accounts, one after the other."""

    name: str
    copies: dict[int, Copy] = field(default_factory=dict)
    truths: dict[str, Truth] = field(default_factory=dict)  # by prefix, the oldest first
    uidvalidity: int = 0  # the highest ever given
    closing: set[str] = field(default_factory=set)  # prefixes that an operator was asked to close
    deleting: set[tuple[str, int]] = field(default_factory=set)  # (prefix, mailbox) that a client asked to delete
    guests: Guests = field(default_factory=Guests)
    keys: Keys = field(default_factory=Keys)
    annotated: set[str] = field(default_factory=set)  # values that entered its logs
    hints: list[str] = field(default_factory=list)  # incarnations that `address` has ever named
    retention: dict[str, int] = field(default_factory=dict)  # folder -> days
    wanted: bool = True  # whether there is a Mailbox resource
    served: bool = False  # whether an operator has said that it made the account
    operators: int = 0  # at work on it

    @property
    def local(self) -> str:
        return self.name.partition("@")[0]

    @property
    def domain(self) -> str:
        return self.name.partition("@")[2]

    @property
    def folder(self) -> str:
        return f"{self.domain}/{encode_local_part(self.local)}/"

    @property
    def truth(self) -> Truth | None:
        """The newest account's."""
        return list(self.truths.values())[-1] if self.truths else None


class Oracle:
    def __init__(self, bucket: Bucket, names: list[str], now: Callable[[], float]) -> None:
        self.bucket = bucket
        self.addresses = {name: Address(name) for name in names}
        self._folders = {f"accounts/{address.folder}": address for address in self.addresses.values()}
        self.now = now
        self.expired = 0
        self.to_verify: list[tuple[Truth, str]] = []  # checkpoints published since the last step
        self.keeps = False  # whether there is retention
        self._purging: set[str] = set()  # closed accounts that were begun to be erased
        self.settled: set[str] = set()  # queue entries that have or had `done`
        self.queued: Callable[[str, bytes], None] = lambda key, data: None  # told of the queue's objects
        self.unqueued: Callable[[str], None] = lambda key: None  # and of those that go
        bucket.created, bucket.deleting = self.created, self.deleting

    def _of(self, key: str) -> tuple[Address, str] | None:
        """The address and the account's prefix that an object is of."""
        parts = key.split("/", 4)
        if parts[0] != "accounts":
            return None
        return self._folders[f"{parts[0]}/{parts[1]}/{parts[2]}/"], "/".join(parts[:4]) + "/"

    # -- the bucket

    def created(self, key: str, data: bytes) -> None:
        if key.startswith("outbound/"):
            self.queued(key, data)
            if key.endswith("/done"):
                self.settled.add(key.split("/")[1])
        if (found := self._of(key)) is None:
            return
        address, prefix = found
        kind = key.removeprefix(prefix).partition("/")[0]
        truth = address.truths.get(prefix)
        if kind == "log":
            self._committed(address, prefix, data)
        elif kind == "page" and truth is not None:
            truth.page_created(key.removeprefix(f"{prefix}page/"))
        elif kind == "checkpoint" and truth is not None:
            truth.checkpointed(key, data, bucket_time(self.now()))
            if truth.missing(key) and not truth.state.closed and self.now() - current().listed < GRACE / 2:
                raise Broken(f"{key} names pages that are not there, and came in time: {truth.missing(key)}")
            self.to_verify.append((truth, key))

    def _committed(self, address: Address, prefix: str, data: bytes) -> None:
        end = data.index(b"\n")
        header = decode_header(data[:end])
        truth = address.truths.get(prefix)
        if truth is None:
            if header.seq != 1:
                return  # a late one, to an account that this world never had
            truth = address.truths[prefix] = Truth(self.bucket, prefix)
        boxes = {op.box for op in header.ops if isinstance(op, ops.Delete)}
        lost = [truth.numbers[box, uid] for box, uid in truth.live if box in boxes]
        address.guests.check(prefix, header, truth.state)
        follows = header.seq == truth.state.head + 1 and header.prev == truth.state.head_id
        if self.keeps and follows and not truth.state.closed:
            gone = [(op.box, uid) for op in header.ops if isinstance(op, ops.Expunge) for uid in decode_uids(op.uids)]
            self.expired += check_expired(address, truth, filter(truth.live.__contains__, gone), self.now())
        if not truth.committed(header, end + 1, data[end + 1 :], bucket_time(self.now())):
            return
        if not {(prefix, box) for box in boxes} <= address.deleting:
            raise Broken(f"{address.name}: mailboxes {boxes} were deleted, and nobody asked for that")
        for number in lost:
            address.copies[number].gone = "asked"
        if self.keeps:
            check_binned(address, truth)
        address.guests.follow(prefix, header)
        address.keys.follow(prefix, header)
        for op in header.ops:
            if isinstance(op, ops.Create):
                if op.uidvalidity <= address.uidvalidity:
                    raise Broken(f"{address.name}: UIDVALIDITY {op.uidvalidity} is not above {address.uidvalidity}")
                address.uidvalidity = op.uidvalidity
            elif isinstance(op, ops.Annotate):
                address.annotated.update(value for _, value in op.entries if value is not None)
            elif isinstance(op, ops.Close) and prefix not in address.closing:
                raise Broken(f"{address.name}: {prefix} was closed, and nobody asked for that")
        for number, times in truth.appended.items():
            if times > 1:
                raise Broken(f"{address.name}: message {number} was delivered {times} times")

    def deleting(self, key: str) -> None:
        if key.startswith("outbound/"):
            self.unqueued(key)
        if (found := self._of(key)) is None:
            return
        address, prefix = found
        truth = address.truths.get(prefix)
        if truth is not None:
            if truth.state.closed:
                self._purging.add(prefix)
            truth.deleting(key, bucket_time(self.now()), bucket_time(current().began))
            if key.startswith(f"{prefix}page/"):
                truth.page_gone(key.removeprefix(f"{prefix}page/"))

    def half_purged(self) -> bool:
        """Whether a purge was begun that left something behind."""
        return any(self.bucket.under(f"{prefix}log/") for prefix in self._purging)

    # -- what pods and clients believe

    def check(self, prefix: str, state: State, who: str) -> None:
        """A state that somebody serves must be one that the log had."""
        truth = next((a.truths[prefix] for a in self.addresses.values() if prefix in a.truths), None)
        if truth is None:
            raise Broken(f"{who} serves {prefix}, which has no log")
        if state.head not in truth.history:
            raise Broken(f"{who} is at {state.head} of {prefix}, and the log's head is {truth.state.head}")
        if state.digest() != truth.history[state.head]:
            raise Broken(
                f"{who} serves a state at {state.head} that is not the log's:"
                f" {_difference(state.digest(), truth.history[state.head])}"
            )

    def acknowledged(self, address: Address, prefix: str, copy: Copy) -> None:
        """A client was told that its message is stored: it must be in the log of the account in use."""
        copy.acknowledged, copy.prefix = True, prefix
        truth = address.truths.get(prefix)
        if truth is None or (truth is not address.truth and not truth.state.closed):
            raise Broken(f"{address.name}: message {copy.number} was acknowledged by {prefix}, not the account in use")
        if not truth.appended[copy.number]:
            raise Broken(f"{address.name}: message {copy.number} was acknowledged and is not in the log")

    def step(self) -> None:
        """Everything that must hold between two steps."""
        for address in self.addresses.values():
            truth = address.truth
            if truth is None or truth.state.closed:
                continue
            truth.check_openable()
            for copy in address.copies.values():
                self._check_copy(address, truth, copy)

    def verdict(self) -> None:
        """At the end: flags too, and nothing that nobody sent."""
        self.step()
        for address in self.addresses.values():
            truth = address.truth
            if truth is None or truth.state.closed:
                continue
            for box, uid in sorted(truth.live):
                copy = address.copies.get(truth.numbers[box, uid])
                if copy is None:
                    raise Broken(f"{address.name}: message {truth.numbers[box, uid]} that nobody sent")
                if copy.copies == [1, 1]:
                    _check_flags(truth.state, copy, box, uid)

    def _check_copy(self, address: Address, truth: Truth, copy: Copy) -> None:
        if copy.acknowledged and copy.prefix != truth.prefix:
            return  # its account was closed
        found, (fewest, most) = truth.count[copy.number], copy.copies
        who = f"{address.name}: message {copy.number}"
        if found > most:
            raise Broken(f"{who} is there {found} times")
        if found and copy.gone == "yes" and most == 1:
            raise Broken(f"{who} was expunged, acknowledged, and is there")
        if copy.acknowledged and copy.gone == "no" and found < fewest:
            raise Broken(f"{who} was acknowledged and is there {found} times, not {fewest}")


def _check_flags(state: State, copy: Copy, box: int, uid: int) -> None:
    mailbox = state.boxes[box]
    flags = mailbox.flag_sets[mailbox.flags[mailbox.index(uid)]]
    for flag, wanted in copy.flags.items():
        if flag not in copy.unsure and (flag in flags) != wanted:
            raise Broken(f"message {copy.number}: {flag} was acknowledged as {wanted}, and is not")


def _difference(one: object, other: object) -> str:
    for mine, truth in zip(_flat(one), _flat(other), strict=False):
        if mine != truth:
            return f"{mine!r:.300} and not {truth!r:.300}"
    return "?"


def _flat(digest: object) -> list[object]:
    """The digest's parts, a mailbox's fields each on their own."""
    parts = list(digest)  # type: ignore[call-overload]
    return [*parts[:-1], *(value for box in parts[-1] for value in zip(range(20), box, strict=False))]
