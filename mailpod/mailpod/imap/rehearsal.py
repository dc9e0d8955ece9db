"""SELECT some times before there is a client: CPython makes quicker what it has run a while (PEP 659), and the first
clients after a pod's start need not wait for that.

Invariant: it happens in a bucket in memory that nobody else sees; nothing is counted, logged or kept.
"""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

from mailpod import metrics
from mailpod.imap import reply
from mailpod.imap.commands import COMMANDS
from mailpod.imap.enabled import Enabled
from mailpod.imap.parser import Limits, Parser
from mailpod.imap.syntax import Command
from mailpod.store import NewMessage, Store, new_account
from mailpod.store.memory import MemoryObjects

if TYPE_CHECKING:
    from mailpod.clock import Clock
    from mailpod.imap.session import Session

_TIMES: Final = 20
"""Code is made quicker when it is called for the eighth time."""


async def rehearse(clock: Clock) -> None:
    """Some milliseconds of CPU, and no I/O."""
    rng, objects = random.Random(0), MemoryObjects(clock)  # noqa: S311  no secret
    nobody = await new_account(objects, "rehearsal.invalid", "nobody", clock=clock, rng=rng)
    account = await Store(objects, clock=clock, rng=rng).open(nobody)
    await account.append("INBOX", [NewMessage(b"Subject: x\r\n\r\n")])
    for _ in range(_TIMES):
        command = Parser(Limits()).next(bytearray(b"a SELECT INBOX\r\n"))
        assert isinstance(command, Command)
        session = SimpleNamespace(
            account=account, authorizes=True, enabled=Enabled(), identity=None, selected=None, send=lambda data: None
        )
        done = await COMMANDS[command.name].run(cast("Session", session), command.args)
        assert isinstance(done, reply.Done)
        session.selected.poll(True)
        reply.accepted(command.tag, command.name, done)
    account.release()
    metrics.command_count("imap", "SELECT", "ok")  # made, not counted: that costs a first client more than the counting
    metrics.command_seconds("imap", "SELECT")
