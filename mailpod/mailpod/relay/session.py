"""A session with one server: opened and secured once, then one message after the other.

- The final dot is not sent after `dot_before`, nor anything of the message's end before all else has left (STORE.md
  rule 19).
- A session that broke, or whose state is unclear, is not used again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from mailpod.clock import Clock
from mailpod.relay.capabilities import Capabilities
from mailpod.relay.envelope import Envelope
from mailpod.relay.replies import BadReply
from mailpod.relay.settings import OutboundSettings
from mailpod.relay.transaction import Do, Step, Transaction
from mailpod.relay.wire import Lost, Wire

_AT_ONCE: Final = 64 * 1024  # octets of a message that are written together with the final dot


@dataclass(slots=True)
class Sent:
    """What became of one transaction. `lost` says why it did not come to its end."""

    transaction: Transaction
    lost: str = ""
    uncertain: bool = False
    """The final dot was sent, and its answer did not come: the message may have arrived."""


class Session:
    """Ready for a message. `host` is its name; open.py makes it."""

    def __init__(
        self, wire: Wire, host: str, offered: Capabilities, settings: OutboundSettings, clock: Clock, *, secure: bool
    ) -> None:
        """`secure`: TLS that the policy wants REQUIRETLS said on (RFC 8689)."""
        self.host, self.offered = host, offered
        self.messages = 0
        self._wire, self._settings, self._clock, self._secure = wire, settings, clock, secure
        self._opened = clock.elapsed()
        self._sent: Sent | None = None
        self._timeouts = {
            Step.MAIL: settings.command_timeout,
            Step.RCPT: settings.command_timeout,
            Step.DATA: settings.data_timeout,
            Step.CONTENT: settings.dot_timeout,
            Step.EMPTY: settings.dot_timeout,
            Step.RESET: settings.command_timeout,
        }

    @property
    def reusable(self) -> bool:
        limits = self._settings
        young = self._clock.elapsed() - self._opened < limits.connection_seconds
        return young and self.messages < limits.messages_per_connection and self._wire.quiet

    @property
    def uncertain(self) -> bool:
        """Whether a final dot was sent, and its answer is awaited."""
        return self._sent is not None and self._sent.uncertain

    async def send(self, envelope: Envelope, dot_before: float) -> Sent:
        """One transaction; `dot_before` is Clock.elapsed. Raises Unsuited."""
        sent = self._sent = Sent(Transaction(envelope, self.offered, require_tls=self._secure))
        self.messages += 1
        try:
            await self._run(sent, envelope, dot_before)
        except (Lost, BadReply) as error:
            self._wire.abort()
            sent.lost = str(error)
        except asyncio.CancelledError:
            self._wire.abort()
            raise
        return sent

    async def quit(self) -> None:
        """RFC 5321 §4.1.1.10, as far as the server goes along."""
        try:
            self._wire.write(b"QUIT\r\n")
            await self._wire.reply(self._settings.quit_timeout)
        except Lost:
            return
        finally:
            self._wire.close()

    def abort(self) -> None:
        self._wire.abort()

    async def _run(self, sent: Sent, envelope: Envelope, dot_before: float) -> None:
        wire, transaction = self._wire, sent.transaction
        wire.write(transaction.begin())
        while True:
            reply = await wire.reply(self._timeouts[transaction.step])
            sent.uncertain = False
            do, commands = transaction.take(reply)
            if reply.code == 421:
                wire.close()
            match do:
                case Do.END:
                    return
                case Do.SEND:
                    wire.write(commands)
                case Do.EMPTY:
                    wire.write(b".\r\n")
                case Do.CONTENT:
                    await self._content(sent, envelope, dot_before)

    async def _content(self, sent: Sent, envelope: Envelope, dot_before: float) -> None:
        content, end = envelope.content()
        whole = len(content) <= _AT_ONCE
        if not whole:
            self._wire.write(content)
            await self._wire.drained(self._settings.block_timeout)
        if self._clock.elapsed() >= dot_before:
            raise Lost("the message could not be sent in time")
        sent.uncertain = True
        self._wire.write(*((content, end) if whole else (end,)))
        await self._wire.drained(self._settings.block_timeout)
