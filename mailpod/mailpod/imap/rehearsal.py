"""SELECT some times before there is a client: CPython makes quicker what it has run a while (PEP 659), and the first
clients after a pod's start need not wait for that.

Invariant: it happens in a session without a client, on a bucket in memory that nobody else sees; nothing is counted,
logged or kept.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from mailpod import metrics
from mailpod.auth.identity import Identity
from mailpod.directory import MailboxEntry
from mailpod.imap.server import ImapSession
from mailpod.store import NewMessage, Store, new_account
from mailpod.store.memory import MemoryObjects

if TYPE_CHECKING:
    from mailpod.services import Services

_TIMES: Final = 20
"""Code is made quicker when it is called for the eighth time."""
_COMMAND: Final = b"a SELECT INBOX\r\n"


class _Nowhere(asyncio.Transport):
    """Takes what is written."""

    def write(self, data: object) -> None:
        pass

    def writelines(self, list_of_data: Iterable[object]) -> None:
        pass


async def rehearse(services: Services) -> None:
    """Some milliseconds of CPU, and no I/O; to be done before the pod has mail clients."""
    clock, rng, objects = services.clock, random.Random(0), MemoryObjects(services.clock)  # noqa: S311  no secret
    ref = await new_account(objects, "rehearsal.invalid", "nobody", clock=clock, rng=rng)
    account = await Store(objects, clock=clock, rng=rng).open(ref)
    await account.append("INBOX", [NewMessage(b"Subject: x\r\n\r\n")])
    entry = MailboxEntry(address="nobody@rehearsal.invalid", domain="rehearsal.invalid", local="nobody")
    session = ImapSession(services)
    session.talk_over(_Nowhere())
    session.log_in(Identity(entry.address, entry, ref, ""), account)
    for _ in range(_TIMES):
        session.get_buffer(-1)[: len(_COMMAND)] = _COMMAND
        session.buffer_updated(len(_COMMAND))
        await services.connections.finished()
    session.log_out()
    metrics.forget_command(session.protocol, "SELECT", "ok")
    metrics.command_count(session.protocol, "SELECT", "ok")  # made: that costs a first client more than the counting
    metrics.command_seconds(session.protocol, "SELECT")
