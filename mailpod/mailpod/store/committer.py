"""The one committer of an account: intents become commits, and are answered when those are durable.

- Intents wait in a queue, and those that arrive while a PUT is in flight share the next commit (STORE.md rule 5).
- A client that goes away does not stop a commit that is under way.
- An intent is evaluated on the newest state; who lost a race is evaluated again on what the winners made of it, and
  what came meanwhile goes along.
- Who loses until its deadline is told so: a lost race proves that nothing of it is there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import MailError, Unavailable
from ..logs import event
from .blocks import listed
from .draft import Draft, Prepared, Stale
from .log import RIVALS, Log
from .rights import Guard
from .together import Together
from .warning import forget_left

if TYPE_CHECKING:
    from .account import Account
    from .store import Store

T = TypeVar("T")


@dataclass(slots=True)
class _Intent:
    evaluate: Callable[[Draft], Any]
    exclusive: bool
    size: int
    came: float  # Clock.elapsed
    done: asyncio.Future[Any]
    prepared: list[Prepared]
    batch: Together | None
    guard: Guard | None
    result: Any = None


class Committer:
    """Holds the account while it has something to do."""

    def __init__(self, account: Account, store: Store, log: Log) -> None:
        self._account = account
        self._store = store
        self._settings = store.settings
        self._log = log
        self._intents: deque[_Intent] = deque()
        self._task: asyncio.Task[None] | None = None

    async def commit(
        self,
        evaluate: Callable[[Draft], T],
        *,
        exclusive: bool = False,
        prepared: list[Prepared] | None = None,
        batch: Together | None = None,
        guard: Guard | None = None,
    ) -> T:
        """What `evaluate` returns, once the operations that it put into the draft are durable.

        Raises what it raises, and Unavailable at the deadline. `exclusive`: in a commit of its own. `prepared` and
        `batch` are messages whose bytes go into packs when the commit loses a race. `guard` looks at the same state
        before it.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        messages = prepared or []
        size = sum(len(message.data) for message in messages if message.data is not None)
        size += batch.octets if batch is not None else 0
        came = self._store.clock.elapsed()
        self._intents.append(_Intent(evaluate, exclusive, size, came, done, messages, batch, guard))
        if self._task is None:
            self._account.pins += 1
            self._task = asyncio.get_running_loop().create_task(self._run())
        with self._store.pace:
            return await done

    async def idle(self) -> None:
        """Wait until no commit is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._intents:
                # First, so that what arrives meanwhile is in the batch.
                await self._log.turns.wait(self._intents[0].came)
                batch = self._take_batch()
                try:
                    await self._commit_batch(batch)
                except MailError as error:
                    _fail(batch, error)
                    self._fail_overdue(error)
                except Exception as error:
                    event("store.commit.error", level="error", account=self._account.prefix, error=repr(error))
                    _fail(batch, Unavailable())
                self._store.checkpoint_if_due(self._account)
        finally:
            self._task = None
            self._account.release()

    def _fail_overdue(self, error: MailError) -> None:
        """Who waited as long as those that just failed does not get a try, and a wait, of its own."""
        _fail(self._overdue(self._intents), error)

    def _overdue(self, intents: Iterable[_Intent]) -> list[_Intent]:
        """Those whose clients are to be told that it failed."""
        since = self._store.clock.elapsed() - self._settings.commit_deadline
        return [intent for intent in intents if intent.came <= since]

    def _take_batch(self) -> list[_Intent]:
        batch = [self._intents.popleft()]
        self._fill(batch)
        return batch

    def _fill(self, batch: list[_Intent]) -> None:
        """What came meanwhile joins the others, as long as there is room."""
        size = sum(intent.size for intent in batch)
        while self._intents and not batch[0].exclusive and len(batch) < self._settings.commit_operations:
            following = self._intents[0]
            if following.exclusive or size + following.size > self._settings.commit_bytes:
                break
            size += following.size
            batch.append(self._intents.popleft())

    async def _commit_batch(self, batch: list[_Intent]) -> None:
        turns = self._log.turns
        if turns.behind:
            async with self._account.lock:
                turns.behind = await self._log.look(RIVALS)
        while batch:
            async with self._account.lock:
                deadline = batch[0].came + self._settings.commit_deadline  # who came first is first
                await self._log.resolve(deadline)
                draft, refused = self._evaluate(batch)
                # A commit proves that it was evaluated on the newest state. "Nothing to do" and "no" prove nothing:
                # they count only after a look.
                proven = bool(draft.operations) and not refused
                raced = proven or not await self._log.look()
                won = raced and await self._publish(draft, batch, refused, deadline)
            self._account.notify()
            if won:
                return
            if draft.body_bytes > self._settings.repost_bytes:
                await self._post(batch)
            self._drop_overdue(batch)
            if raced and batch:
                await turns.wait(batch[0].came, lost=True)
                self._fill(batch)

    async def _post(self, batch: Sequence[_Intent]) -> None:
        """STORE.md rule 5: bytes whose commit lost a race are not sent again with the next."""
        await self._account.uploads.post([message for intent in batch for message in intent.prepared], 0)
        for intent in batch:
            if intent.batch is not None:
                await self._account.uploads.post_batch(intent.batch)

    def _drop_overdue(self, batch: list[_Intent]) -> None:
        overdue = self._overdue(batch)
        if overdue:
            event("store.commit.outrun", level="warning", account=self._account.prefix, changes=len(overdue))
        _fail(overdue, Unavailable())
        batch[:] = [intent for intent in batch if intent not in overdue]

    async def _publish(
        self, draft: Draft, batch: list[_Intent], refused: list[tuple[_Intent, Exception]], deadline: float
    ) -> bool:
        """Refuse who is refused, commit the rest. False: another commit came first; the rest is evaluated again."""
        for intent, error in refused:
            batch.remove(intent)
            _refuse(intent, error)
        draft.add_recent()
        forget_left(draft)
        begun = next((each.batch.begun for each in batch if each.batch is not None and not each.batch.key), None)
        won = not draft.operations or await self._log.publish(
            draft.operations, draft.body, draft.body_bytes, deadline,
            posted=draft.posted, blocks=listed(draft.sums, draft.body), begun=begun,
        )  # fmt: skip
        if won:
            self._settle(draft, batch)
            if draft.operations:
                self._store.on_commit(self._account.prefix, self._account.head)
        return won

    def _evaluate(self, batch: list[_Intent]) -> tuple[Draft, list[tuple[_Intent, Exception]]]:
        """The batch on the state as it is now, and the intents that it refuses."""
        clock = self._store.clock
        draft = Draft(self._log.state, self._settings, int(clock.now()), clock.elapsed())
        refused: list[tuple[_Intent, Exception]] = []
        batch[:] = [intent for intent in batch if not intent.done.done()]  # the others' clients went away
        for intent in batch:
            try:
                if intent.guard is not None:
                    intent.guard(draft.state)
                intent.result = intent.evaluate(draft)
            except (MailError, Stale) as error:
                refused.append((intent, error))
        return draft, refused

    def _settle(self, draft: Draft, batch: list[_Intent]) -> None:
        for box in self._log.state.boxes.values() if draft.operations else ():
            box.recent_dirty = False
        for intent in batch:
            if not intent.done.done():
                intent.done.set_result(intent.result)


def _refuse(intent: _Intent, error: Exception) -> None:
    if not intent.done.done():
        intent.done.set_exception(error)


def _fail(batch: list[_Intent], error: MailError) -> None:
    for intent in batch:
        _refuse(intent, error)
