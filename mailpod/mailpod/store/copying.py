"""COPY, MOVE and RENAME of INBOX: what is read of messages before the commit that puts them elsewhere.

- Reading takes its time, and the commit is evaluated on a later state: where the messages changed meanwhile, it is
  refused (Stale) and they are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import Unavailable
from .draft import CopySource, Draft, Stale
from .mailbox import Mailbox
from .rights import Guard

if TYPE_CHECKING:
    from .account import Account

T = TypeVar("T")
_TRIES: Final = 50  # of messages that change each time between reading and committing


async def from_source(
    account: Account,
    mailbox: Mailbox,
    uids: Callable[[], Sequence[int]],
    evaluate: Callable[[CopySource, Draft], T],
    guard: Guard | None = None,
) -> T:
    """What `evaluate` returns, committed. Raises what it raises, and Unavailable."""
    for _ in range(_TRIES):
        source = await account.uploads.copy_source(mailbox, uids())
        try:
            return await account.committer.commit(partial(evaluate, source), exclusive=True, guard=guard)
        except Stale:
            continue
    raise Unavailable
