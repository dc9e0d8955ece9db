"""One account's log as one pod reads and writes it: STORE.md rules 1 to 4.

- `state` is what the log says up to `state.head`; it is changed only by applying the next commit, in one step.
- `publish`, `look` and `resolve` never run at the same time for one account: the caller holds its lock.
- While the fate of a PUT at sequence n is unknown, nothing but that very object is sent to n.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import Final

from msgspec import UNSET

from .. import metrics
from ..clock import Clock
from ..errors import AccountClosed, AccountMissing, AccountReadOnly, MailError, Unavailable
from ..logs import event
from .begun import Begun
from .blocks import Listed
from .commits import Commits, Fetched, decode
from .incarnations import InUse
from .mailbox import Mailbox
from .names import log_key
from .objects import AlreadyExists, Ambiguous, Buffer, NotFound, ObjectStore, StorageError
from .ops import VERSION, BadCommit, Header, Operation, UnknownOperation, encode_header
from .settings import StoreSettings
from .state import Inconsistent, State
from .trusted import Checkpoints
from .turns import Turns

_MANY: Final = 16  # commits read one by one, until
_CATCH_UP: Final = 8  # are asked for at once
RIVALS: Final = 4  # commits that are asked for at once where others commit too
_RECORD: Final = 600  # octets of a header that a message takes which is scanned before it comes


@dataclass(slots=True)
class _Pending:
    """A commit on its way: exactly these bytes, until its sequence is resolved."""

    header: Header
    data: Sequence[Buffer]
    header_bytes: int
    posted: float = inf  # when the upload of the oldest object began that only this commit refers to
    sent: float = 0.0
    ambiguous: bool = False


class Log:
    """Raises Unavailable for what passes, AccountMissing, AccountClosed and AccountReadOnly for what does not."""

    def __init__(
        self,
        objects: ObjectStore,
        prefix: str,
        *,
        settings: StoreSettings,
        clock: Clock,
        rng: random.Random,
        pod: str,
        attach: Callable[[Mailbox], None],
        in_use: InUse | None = None,
    ) -> None:
        """Without `in_use` (tools, which read whatever there is) no incarnation is asked for."""
        self._objects = objects
        self.prefix = prefix
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._pod = pod
        self._in_use = in_use
        self.state = State()
        self._before: State | None = None
        self.broken: str | None = None  # what is damaged: nothing is read or written after it
        self._half = False  # the commit that cannot be applied was applied in part
        self.base = 0  # the checkpoint whose pages our state refers to
        self.commits_since = 0
        self.header_bytes_since = 0
        self.unscanned_since = 0  # messages that came without what is found out of their bytes
        self._looked_at = 0.0
        self._pending: _Pending | None = None
        self.turns = Turns(clock, rng, patience=settings.commit_deadline / 2)
        self.checkpoints = Checkpoints(objects, prefix, clock, attach)
        self._commits = Commits(objects, prefix, settings.header_read_bytes)

    @property
    def served(self) -> State:
        """What sessions are shown: never one that is only half read, or older than what they were told."""
        return self.state if self._before is None else self._before

    # -- opening

    async def open(self) -> None:
        """Read the newest checkpoint that is whole, and the commits after it. Dates the look from the LIST.

        Where a state was open before, its mailboxes stay the objects that sessions hold, and become what was read.
        """
        before, looked, base, outer = self.state, self._looked_at, self.base, self._before
        self._before = outer or before  # an opening may come upon the need for another
        try:
            await self._read_all()
            if self.state.head == 0:
                raise AccountMissing
        except BaseException:
            self.state, self._looked_at, self.base = before, looked, base
            raise
        finally:
            self._before = outer
        _graft(before, self.state)
        if self._pending is not None and self._pending.header.seq <= self.state.head:
            self._pending = None
        self._check_open()

    async def _read_all(self) -> None:
        """To the head, or to what is damaged: the state before that stays readable (STORE.md rule 16)."""
        below = -1
        while True:
            self._looked_at = self._clock.elapsed()
            await self._read_from_checkpoint()
            if self.broken is not None or self.state.head >= self.checkpoints.listed:
                # It may have been closed long before it was listed, and erased while it was read (STORE.md rule 2).
                await self._check_in_use()
                return
            if below == self.checkpoints.listed:  # listed again, and the same: not a state that is merely old
                await self._check_in_use(erased=True)
                self._break(f"its log ends with commit {self.state.head}, below its checkpoint {below}")
                if self.state.head == 0:
                    raise AccountReadOnly
                return
            below = self.checkpoints.listed

    async def _read_from_checkpoint(self) -> None:
        self.state, self.base = await self.checkpoints.load()
        self._mend()
        self.commits_since = self.header_bytes_since = self.unscanned_since = 0
        try:
            await self._read_on()
        except AccountReadOnly:
            if self.state.head == 0:
                raise
            if self._half:
                await self._read_up_to(self.state.head - 1)

    async def _read_up_to(self, last: int) -> None:
        """The state before a commit of which only some operations could be applied."""
        self.state, self.base = await self.checkpoints.load()
        self._half = False
        while self.state.head < last and (found := await self._read(self.state.head + 1)) is not None:
            self._apply(*found)

    # -- looking

    async def look(self, ahead: int = 1) -> bool:
        """Afterwards the state is no older than the call; True where commits were applied (STORE.md rule 2).

        `ahead`: how many commits are asked for at once, by who must not fall behind those that write.
        """
        head = self.state.head
        try:
            await self._read_on(ahead)
        except AccountReadOnly:
            if self._half:
                await self.open()
            raise
        self._check_open()
        return self.state.head != head

    async def _read_on(self, ahead: int = 1) -> None:
        """To the first 404, `ahead` commits at a time; where there are many, some: one by one a busy pod outruns us."""
        began = self.state.head
        while self.broken is None:
            sent, first = self._clock.elapsed(), self.state.head + 1
            if first - began > _MANY:
                ahead = max(ahead, _CATCH_UP)
            if not await self._take_each(sent, first, await self._commits.fetch_from(first, ahead)):
                return

    async def _take_each(self, sent: float, first: int, found: Sequence[Fetched | BaseException | None]) -> bool:
        """Apply what was asked for then, as far as the log goes; whether it may go on behind that."""
        for sequence, fetched in enumerate(found, first):
            if isinstance(fetched, BaseException):
                raise fetched
            commit = self._decode(sequence, fetched)
            if commit is None:
                await self._looked(sent)
                return False
            if not await self._take(*commit):
                break  # it was opened again, and its head is another
        return True

    async def _looked(self, sent: float) -> None:
        if self._clock.elapsed() - self._looked_at < self._settings.grace / 2:
            self._looked_at = sent
            return
        if await self.checkpoints.last() > self.state.head:
            await self.open()
        else:
            await self._check_in_use()
            self._looked_at = sent

    async def _check_in_use(self, *, erased: bool = False) -> None:
        """Raises AccountClosed where a higher incarnation exists: then this account may be erased, and whatever is
        found in its place have landed late (STORE.md rules 2, 3 and 14). `erased`: even where no commit is left."""
        try:
            if self._in_use is None or not (self.state.head or erased) or await self._in_use.check():
                return
        except (NotFound, StorageError) as error:
            raise Unavailable from error
        raise AccountClosed

    async def _read(self, sequence: int) -> tuple[Header, int] | None:
        """The commit at `sequence` with the length of its first line, or None where there is none."""
        return self._decode(sequence, await self._commits.fetch(sequence))

    def _decode(self, sequence: int, fetched: Fetched | None) -> tuple[Header, int] | None:
        if fetched is None:
            return None
        try:
            return decode(fetched)
        except (BadCommit, UnknownOperation) as error:
            self._break(f"commit {sequence}: {error}")
            raise AccountReadOnly from error

    async def _take(self, header: Header, header_bytes: int) -> bool:
        """Apply a commit that was read; False: it came too late to be trusted, and the state was opened again."""
        pending = self._pending
        ours = pending is not None and pending.header.id == header.id
        if self._clock.elapsed() - self._looked_at >= self._settings.grace / 2:
            if await self.checkpoints.last() >= header.seq:  # STORE.md rule 2, last sentence
                await self.open()
                return False
            await self._check_in_use()
        self._apply(header, header_bytes)
        if not ours and self._before is None:  # what an opening reads may be years old
            self.turns.foreign(header.by)
        return True

    def _apply(self, header: Header, header_bytes: int) -> None:
        try:
            self.state.apply(header, header_bytes)
        except Inconsistent as error:
            self._half = self.state.head == header.seq
            self._break(str(error))
            raise AccountReadOnly from error
        if self._pending is not None and self._pending.header.seq <= header.seq:
            self._pending = None
        self.commits_since += 1
        self.header_bytes_since += header_bytes
        self.unscanned_since += header.unscanned

    def _break(self, why: str) -> None:
        if self.broken is None:
            metrics.ACCOUNTS_READ_ONLY.inc()
        self.broken = why
        event("store.account.read_only", level="error", account=self.prefix, why=why)

    def _mend(self) -> None:
        if self.broken is not None:
            metrics.ACCOUNTS_READ_ONLY.dec()
        self.broken = None

    def let_go(self) -> None:
        """The account leaves this pod's memory."""
        self._mend()

    def _check_open(self) -> None:
        if self.state.closed:
            raise AccountClosed

    # -- writing

    async def resolve(self, deadline: float) -> None:
        """Settle what an earlier PUT left open. Raises Unavailable where that is not possible by `deadline`."""
        if self.broken is not None:
            raise AccountReadOnly
        self._check_open()
        if self._pending is not None:
            await self._settle(self._pending, deadline)
            self._check_open()

    async def publish(
        self,
        operations: Sequence[Operation],
        body: Sequence[Buffer],
        body_bytes: int,
        deadline: float,
        *,
        posted: float = inf,
        blocks: Listed | None = None,
        begun: Begun | None = None,
    ) -> bool:
        """Append a commit. True: it is durable and applied. False: another commit came first, and that is applied.

        What was `begun` is completed where it is of these messages.

        Raises Unavailable at the deadline (Clock.elapsed); then nothing else goes to this sequence until `resolve` has
        settled it.
        """
        state = self.state
        identifier = f"{self._rng.getrandbits(96):024x}"
        header = Header(
            VERSION, identifier, state.head_id, state.head + 1, int(self._clock.now()), self._pod,
            blocks=UNSET if blocks is None else blocks.blocks, checks=UNSET if blocks is None else blocks.checks,
            ops=tuple(operations), bytes=body_bytes,
        )  # fmt: skip
        line = encode_header(header)
        data = (begun and begun.completed(line, body)) or [line, *body]
        return await self._settle(_Pending(header, data, len(data[0]), posted), deadline)

    async def _settle(self, pending: _Pending, deadline: float) -> bool:
        wait = self._settings.retry_base
        key = log_key(self.prefix, pending.header.seq)
        while True:
            await self._give_up_if_old(pending)
            pending.sent = self._clock.elapsed()
            try:
                await self._objects.create(key, pending.data)
                return await self._acknowledge(pending)
            except AlreadyExists:
                self.turns.answered(pending.sent, won=False)
                if (won := await self._who_won(pending, RIVALS)) is not None:
                    return won
                pending.ambiguous = True  # exists, then 404: STORE.md rule 4
            except Ambiguous:
                pending.ambiguous = True
                self._pending = pending
                if (won := await self._who_won(pending)) is not None:
                    return won
            except StorageError as error:
                event("store.commit.failed", key=key, error=str(error))
            self._pending = pending if pending.ambiguous else None
            if self._clock.elapsed() + wait >= deadline:
                raise Unavailable
            await self._clock.sleep(wait * self._rng.uniform(0.5, 1.0))
            wait = min(2 * wait, self._settings.retry_cap)

    async def _give_up_if_old(self, pending: _Pending) -> None:
        """STORE.md rule 10: what refers to an object of its own older than a day is not sent any more.

        It is forgotten as a crash would forget it, and the account opened as after one: what was sent before may be
        there, or come yet, and then it is another's.
        """
        if self._clock.elapsed() - pending.posted < self._settings.own_object_age:
            return
        self._pending = None
        await self.open()
        raise Unavailable

    async def _acknowledge(self, pending: _Pending) -> bool:
        """STORE.md rule 3: our PUT was answered; is the answer in time?"""
        answered = self._clock.elapsed()
        self.turns.answered(pending.sent, won=True)
        if answered - self._looked_at >= self._settings.grace / 2:
            self._pending = pending
            if await self.checkpoints.last() >= pending.header.seq:
                self._pending = None
                await self.open()
                raise Unavailable
            await self._check_in_use()
        self._looked_at = pending.sent
        self._apply(pending.header, pending.header_bytes)
        return True

    async def _who_won(self, pending: _Pending, ahead: int = 1) -> bool | None:
        """Read the sequence that we wrote to. None: nothing is there, or the bucket does not answer.

        Of what others wrote `ahead` commits are asked for at once, since they may have written more by now.
        """
        sent, first = self._clock.elapsed(), pending.header.seq
        winner, *others = await self._commits.fetch_from(first, ahead)
        if isinstance(winner, MailError):
            return None
        if isinstance(winner, BaseException):
            raise winner
        found = self._decode(first, winner)
        if found is None:
            return None
        if not await self._take(*found):
            raise Unavailable
        won = found[0].id == pending.header.id
        if not won:
            others = list(takewhile(lambda each: not isinstance(each, MailError), others))  # the next try finds out
            if others and await self._take_each(sent, first + 1, others) and len(others) + 1 == ahead:
                await self._read_on(ahead)
        return won

    # -- checkpoints

    def note_checkpoint(self) -> None:
        """A checkpoint of about now exists, or is being written."""
        self.commits_since = self.header_bytes_since = self.unscanned_since = 0

    def checkpoint_due(self) -> bool:
        """STORE.md rule 8."""
        settings = self._settings
        return self.broken is None and (
            self.commits_since >= settings.checkpoint_commits
            or self.header_bytes_since + _RECORD * self.unscanned_since >= settings.checkpoint_header_bytes
        )


def _graft(before: State, after: State) -> None:
    """Sessions go on with the Mailbox objects that they hold."""
    for box, old in before.boxes.items():
        new = after.boxes.get(box)
        if new is None:
            old.deleted = True
        else:
            old.adopt(new)
            after.boxes[box] = after.names[new.name] = old
