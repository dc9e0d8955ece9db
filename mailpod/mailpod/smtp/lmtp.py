"""LMTP (RFC 2033): another mail server hands over, and is told of each recipient by itself.

- A recipient's 250 is the return of its commit: there is no queue behind it, so what fails now is tried again by the
  client. Only an address that stands for several mailboxes is queued: it has one reply, and some of them might fail.
- There is no AUTH. Who may connect is `lmtp.networks`, and nobody else is greeted.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, ClassVar, Final

from mailpod.errors import MailError
from mailpod.queue.local import deliver
from mailpod.smtp import replies
from mailpod.smtp.forwarding import settle
from mailpod.smtp.handler import Handler
from mailpod.smtp.server import MailSmtp
from mailpod.store.outbound import Forwarded, SpoolEntry, with_forwards

if TYPE_CHECKING:
    from mailpod.directory import MailboxEntry
    from mailpod.services import Services
    from mailpod.smtp.session import MailEnvelope, MailSession

_AT_ONCE: Final = 4  # recipients of one message that are delivered to in parallel


def make_lmtp(services: Services, *, implicit_tls: bool) -> Lmtp:
    """The protocol of one new connection."""
    handler = LmtpHandler(services, "lmtp")
    return Lmtp(services, handler, role="lmtp", implicit_tls=implicit_tls)


class Lmtp(MailSmtp):
    """The same commands; LHLO instead of EHLO and HELO, and a reply a recipient at the end."""

    protocol: ClassVar[str] = "lmtp"
    greeting: ClassVar[str] = "LMTP"
    no_recipients: ClassVar[str] = "503 5.5.1 No valid recipients"  # RFC 2033 §4.2
    withheld: ClassVar[frozenset[str]] = frozenset({"EHLO", "HELO", "AUTH"})  # RFC 2033 §4.1

    event_handler: LmtpHandler

    def unwelcome(self, host: str) -> str | None:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return "gone"
        networks = self.services.settings.lmtp.networks
        return None if any(address in network for network in networks) else "not in lmtp.networks"

    async def conclude(self, refused: str | None) -> None:
        """RFC 2033 §4.2: a reply for each RCPT that was accepted, in their order."""
        envelope = self.envelope
        try:
            if refused:
                outcomes = dict.fromkeys(envelope.rcpt_tos, refused)
            else:
                outcomes = await self.event_handler.deliver_each(self.session, envelope)
            answers = [outcomes[named] for named in envelope.rcpt_tos]
        finally:
            self._set_rset_state()
        self.accepted()  # whoever may hand over does not misbehave by handing over what is refused
        for answer in answers:
            if not answer.startswith("2"):
                self.count_refusal(answer)
            self.reply(answer)


class LmtpHandler(Handler):
    """RCPT as on the MX port; then each recipient by itself."""

    async def deliver_each(self, session: MailSession, envelope: MailEnvelope) -> dict[str, str]:
        """The reply to each address that was named; returns when all of them are durable or refused."""
        queue_id = self._services.spool.new_id()
        try:
            message = self.checked(session, envelope, queue_id)
            if envelope.elsewhere:  # whoever hands over has checked who sent it
                await settle(self._services, envelope, b"".join(message), None, role=self._role, queue_id=queue_id)
        except MailError as error:
            self._record(session, envelope, queue_id, "refused" if error.smtp[0] >= 500 else "deferred", error)
            return dict.fromkeys(envelope.rcpt_tos, replies.from_error(error))
        waiting = list(dict.fromkeys(envelope.rcpt_tos))
        done: dict[str, str] = {}
        mailboxes: dict[str, asyncio.Future[None]] = {}

        async def work() -> None:
            while waiting:
                named = waiting.pop()
                try:
                    await self._hand_over(named, envelope, message, mailboxes, queue_id)
                    done[named] = f"250 2.1.5 OK, delivered as {queue_id}"
                except MailError as error:
                    done[named] = replies.from_error(error)

        await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, len(waiting)))))
        self._record_each(session, envelope, queue_id, done)
        return done

    async def _hand_over(
        self,
        named: str,
        envelope: MailEnvelope,
        message: list[bytes],
        mailboxes: dict[str, asyncio.Future[None]],
        queue_id: str,
    ) -> None:
        """Into the mailbox behind an address, once whatever it is called. Raises MailError."""
        services, sender = self._services, envelope.mail_from or ""
        entries, forwards = _settled(envelope, named)
        if len(entries) > 1 or forwards:
            addresses = (*(entry.address for entry in entries), *forwards)
            spooled = SpoolEntry(services.spool.new_id(), sender, addresses, services.clock.now())
            await services.spool.accept(with_forwards(spooled, forwards), b"".join(message))
            return
        if not entries:  # it goes on by another of the addresses
            return
        [entry] = entries
        if entry.address not in mailboxes:
            delivering = _deliver(services, entry, sender, message, queue_id)
            mailboxes[entry.address] = asyncio.ensure_future(delivering)
        await asyncio.shield(mailboxes[entry.address])

    def _record_each(self, session: MailSession, envelope: MailEnvelope, queue_id: str, done: dict[str, str]) -> None:
        accepted = sum(reply.startswith("2") for reply in done.values())
        refused = next((reply for reply in done.values() if not reply.startswith("2")), None)
        if accepted or refused is None:
            self._record(session, envelope, queue_id, "accepted")
        else:
            self._record(session, envelope, queue_id, "refused" if refused.startswith("5") else "deferred")


def _settled(envelope: MailEnvelope, named: str) -> tuple[list[MailboxEntry], dict[str, Forwarded]]:
    """Whom a message for an address is brought to, now that is decided what goes on."""
    reached, forwards = envelope.named[named], dict[str, Forwarded]()
    entries = {entry.address: entry for entry in reached.mailboxes}
    for forward in reached.forwards:
        recipient = envelope.recipients.get(forward.to)
        if recipient is None or recipient.forwarded is None:
            entries[forward.via.address] = forward.via
        elif recipient.named == named:
            forwards[forward.to] = recipient.forwarded
    return list(entries.values()), forwards


async def _deliver(services: Services, entry: MailboxEntry, sender: str, message: list[bytes], queue_id: str) -> None:
    await deliver(services, entry, sender, message, queue_id=queue_id)
