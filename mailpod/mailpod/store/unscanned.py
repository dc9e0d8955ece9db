"""Messages of which the index does not have yet what is found out of their bytes: they came many at once (together.py).

- What is missing is a function of the bytes, so it does not matter who finds it out, when, or how often.
- A reader gets no row in which something is missing that it asked for: Mailbox.pages has it found out first, of those
  messages only. What is written in a checkpoint has been found out, so that it is done once.
- A message whose bytes cannot be had stays as it is, in the checkpoint too, and is Damaged for who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

from ..errors import Damaged, MailError
from ..mime.scan import Scan, scan
from .location import Location
from .page import Page

if TYPE_CHECKING:
    from .nearby import Body

Read: TypeAlias = "Callable[[Sequence[Location]], AsyncGenerator[list[Body | MailError], None]]"
"""Messages' bytes, in order, some at a time, as Account.body_runs gives them."""
Turn: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
_TURN_BYTES: Final = 64 << 10  # scanned in one go, or one message: about a fifth of a millisecond


@asynccontextmanager
async def at_once() -> AsyncGenerator[None, None]:
    """A turn of what a client waits for: others come in between."""
    yield
    await asyncio.sleep(0)


async def scan_one(data: bytes, inline: int) -> Scan:
    """In the loop up to `inline` octets: a hostile header costs up to a second of CPU a megabyte."""
    return scan(data) if len(data) <= inline else await asyncio.to_thread(scan, data)


async def scan_rows(page: Page, rows: Sequence[int], read: Read, *, inline: int, turn: Turn = at_once) -> list[int]:
    """Find out what is missing in these rows; returns those that are damaged. Those of messages that are gone stay as
    they are. Raises what `read` raises."""
    damaged, at = list[int](), 0
    async with aclosing(read(page.locations(rows))) as runs:
        async for run in runs:
            for some in _turns(run):
                async with turn():
                    for each in some:
                        if isinstance(each, Damaged):
                            damaged.append(rows[at])
                        elif not isinstance(each, MailError):
                            page.scanned(rows[at], await scan_one(bytes(each), inline))
                        at += 1
    return damaged


def _turns(run: Sequence[Body | MailError]) -> Iterator[Sequence[Body | MailError]]:
    start = octets = 0
    for end, each in enumerate(run, 1):
        octets += 0 if isinstance(each, MailError) else len(each)
        if octets >= _TURN_BYTES or end == len(run):
            yield run[start:end]
            start, octets = end, 0
