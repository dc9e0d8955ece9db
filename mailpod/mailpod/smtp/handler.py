"""What a message may do: aiosmtpd's handler hooks, over the directory, the store and the spool.

- 250 to DATA is the return of a commit, or of the spool object's creation: nothing is acknowledged before.
- A recipient that cannot get the message is refused at RCPT; nothing is bounced later.
- One mailbox gets one copy, however many of its addresses were named.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.addresses import Address, normalize
from mailpod.authres.results import without_forged
from mailpod.errors import MailError, OverQuota, TooBig
from mailpod.queue.local import deliver
from mailpod.smtp import submission, trace
from mailpod.smtp.clients import check_client
from mailpod.smtp.filtering import filtered
from mailpod.smtp.forwarding import returned_to, settle
from mailpod.smtp.senders import checked_sender
from mailpod.smtp.session import Recipient

if TYPE_CHECKING:
    from mailpod.directory import DomainEntry, MailboxEntry
    from mailpod.services import Services
    from mailpod.smtp.server import MailSmtp
    from mailpod.smtp.session import MailEnvelope, MailSession
    from mailpod.store.outbound import RecipientOptions

_UNKNOWN: Final = "550 5.1.1 No such user here"
_RELAY: Final = "550 5.7.1 Relaying denied: this server does not serve the recipient's domain"
_LITERAL: Final = "550 5.1.2 Mail is sent to domains alone, not to address literals"
_SUSPENDED: Final = "450 4.2.1 Mailbox is suspended"
_NEEDS_UTF8: Final = "553 5.6.7 This address needs SMTPUTF8"  # RFC 6531 §3.5


_outcome = lru_cache(metrics.RECEIVED_MESSAGES.labels)  # finding a child by its labels costs 5 us
_octets = lru_cache(metrics.RECEIVED_BYTES.labels)
_seconds = metrics.COMMAND_SECONDS.labels("smtp", "DATA")


class Handler:
    """One a connection. `role` is "mx", "submission" or "lmtp"."""

    def __init__(self, services: Services, role: str) -> None:
        self._services = services
        self._role = role

    async def handle_MAIL(
        self, server: MailSmtp, session: MailSession, envelope: MailEnvelope, address: str, options: list[str]
    ) -> str:
        address = unicodedata.normalize("NFC", address)
        if not envelope.smtp_utf8 and not address.isascii():
            return _NEEDS_UTF8
        if address and not all(address.rpartition("@")[::2]):
            return "501 5.1.7 The sender needs a domain"
        if session.identity is not None:
            await submission.check_sender(self._services, session.identity, address)
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self,
        server: MailSmtp,
        session: MailSession,
        envelope: MailEnvelope,
        address: str,
        options: list[RecipientOptions],
    ) -> str:
        if len(envelope.rcpt_tos) >= server.settings.max_recipients:
            return "452 4.5.3 Too many recipients"  # RFC 5321 §4.5.3.1.10
        if not envelope.smtp_utf8 and not address.isascii():
            return _NEEDS_UTF8
        if session.identity is not None:
            submission.count_recipient(self._services, session.identity)
        if self._role == "mx":
            await check_client(self._services, session, address)
        if "@" not in address:
            return await self._postmaster(envelope, address, options[0])
        try:
            normal = normalize(address)
        except ValueError:
            literal = address.endswith("]")  # RFC 5321 §4.1.3: an address literal, which nobody has a mailbox at
            return self._literal() if literal else "553 5.1.3 Bad address"
        domain = await self._services.directory.domain(normal.domain)
        if domain is None:
            if session.identity is None:
                return _RELAY
            await submission.add_elsewhere(self._services, session.identity, envelope, address, options[0])
            return "250 2.1.5 OK"
        if self._role == "mx":
            back = returned_to(self._services, envelope, Address(address.rpartition("@")[0], domain.name))
            if back is not None:
                return await self._return(envelope, normal, back, domain, options[0])
        return await self._add(envelope, normal, domain, options[0])

    async def handle_DATA(self, server: MailSmtp, session: MailSession, envelope: MailEnvelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        queue_id = self._services.spool.new_id()
        began = self._services.clock.elapsed()
        try:
            await self._accept(session, envelope, queue_id)
        except MailError as error:
            self._record(session, envelope, queue_id, "refused" if error.smtp[0] >= 500 else "deferred", error)
            raise
        # the exemplar: from a slow point of a panel to the log of that very message
        _seconds.observe(self._services.clock.elapsed() - began, {"id": queue_id})
        _octets(self._role).inc(len(content))
        self._record(session, envelope, queue_id, "accepted")
        return f"250 2.0.0 OK, queued as {queue_id}"

    def checked(self, session: MailSession, envelope: MailEnvelope, queue_id: str) -> list[bytes]:
        """The message that may be delivered, in pieces, its trace first. Raises MailError."""
        content = envelope.content
        assert isinstance(content, bytes)
        if envelope.max_bytes is not None and len(content) > envelope.max_bytes:
            raise TooBig
        if trace.hops(content) >= self._services.settings.smtp.max_received:
            raise Loop
        if self._role != "mx":  # RFC 8601 §5; there it goes after the check of signatures, which may be of it
            content = without_forged(content, self._services.settings.hostname)
        return [self._head(session, envelope, queue_id), content]

    async def _accept(self, session: MailSession, envelope: MailEnvelope, queue_id: str) -> None:
        head, content = self.checked(session, envelope, queue_id)
        sender, identity, verdict = envelope.mail_from or "", session.identity, None
        if identity is not None:
            ready = await submission.prepare(self._services, identity, content, sender=sender, queue_id=queue_id)
            head, content = ready.signatures + head + ready.added, ready.content
        elif self._role == "mx":
            checked = await checked_sender(self._services, session, envelope, content)
            fields, spam = await filtered(self._services, session, envelope, head + checked.content, queue_id)
            head, content = checked.field + head + fields, checked.content
            envelope.junk, envelope.verified = checked.junk or spam, checked.verified
            verdict = checked.verdict
        if envelope.elsewhere:
            seal = await settle(self._services, envelope, head + content, verdict, role=self._role, queue_id=queue_id)
            head = seal + head
        recipients = list(envelope.recipients.values())
        if len(recipients) == 1 and (only := recipients[0]).entry and "SUCCESS" not in only.options.notify:
            pieces = [head, content]
            await deliver(self._services, only.entry, sender, pieces, queue_id=queue_id, folder=envelope.folder)
        else:
            user = identity.address if identity is not None else ""
            spooled = envelope.entry(queue_id, user, self._services.clock.now())
            await self._services.spool.accept(spooled, head + content)

    def _head(self, session: MailSession, envelope: MailEnvelope, queue_id: str) -> bytes:
        settings, now = self._services.settings, self._services.clock.now()
        named = [recipient.named for recipient in envelope.recipients.values()]
        hop = trace.Hop(
            client_name=session.host_name or "",
            client_host=session.client.host,
            server_name=settings.hostname,
            queue_id=queue_id,
            seconds=now,
            recipient=named[0] if len(envelope.rcpt_tos) == 1 else None,  # never who else got it
            extended=session.extended_smtp,
            utf8=envelope.smtp_utf8,
            lmtp=self._role == "lmtp",
            tls=session.tls,
            authenticated=session.identity is not None,
        )
        return trace.received(hop)

    async def _postmaster(self, envelope: MailEnvelope, address: str, options: RecipientOptions) -> str:
        """RFC 5321 §4.1.1.3: `postmaster` without a domain, for the domain that this server's name lies in."""
        name = self._services.settings.hostname
        while address.strip('"').lower() == "postmaster" and name:
            domain = await self._services.directory.domain(name)
            if domain is not None:
                return await self._add(envelope, Address("postmaster", domain.name), domain, options)
            name = name.partition(".")[2]
        return "501 5.1.3 The recipient needs a domain"

    async def _add(
        self, envelope: MailEnvelope, address: Address, domain: DomainEntry, options: RecipientOptions
    ) -> str:
        reached = await self._services.directory.recipients(str(address))
        entries = reached.mailboxes
        if not (entries or reached.forwards):
            return _UNKNOWN
        if not reached.forwards and all(entry.suspended for entry in entries):
            return _SUSPENDED
        if envelope.declared_size is not None and envelope.declared_size > domain.max_message_bytes:
            raise TooBig
        for entry in entries:
            if await self._full(entry, envelope.declared_size or 0):
                metrics.OVER_QUOTA.labels(entry.domain).inc()
                raise OverQuota
        envelope.heed(domain)
        for entry in entries:
            envelope.recipients.setdefault(entry.address, Recipient(entry, str(address), options))
        for forward in reached.forwards:
            envelope.recipients.setdefault(forward.to, Recipient(None, str(address), options, via=forward.via))
        envelope.named[str(address)] = reached
        envelope.rcpt_tos.append(str(address))
        return "250 2.1.5 OK"

    async def _return(
        self, envelope: MailEnvelope, address: Address, back: str, domain: DomainEntry, options: RecipientOptions
    ) -> str:
        """A notice about what was forwarded: on to the sender, whose own domain may be one of ours."""
        normal = normalize(back)
        served = await self._services.directory.domain(normal.domain)
        if served is not None:
            return await self._add(envelope, normal, served, options)
        if envelope.declared_size is not None and envelope.declared_size > domain.max_message_bytes:
            raise TooBig
        envelope.heed(domain)
        to = f"{back.rpartition('@')[0]}@{normal.domain}"
        envelope.recipients.setdefault(to, Recipient(None, str(address), options, returning=True))
        envelope.rcpt_tos.append(str(address))
        return "250 2.1.5 OK"

    async def _full(self, entry: MailboxEntry, size: int) -> bool:
        """Whether the mailbox is known to be over its quota; the commit decides, this spares a transfer."""
        if entry.quota_bytes is None and entry.quota_messages is None:
            return False
        account = self._services.store.peek(await self._services.directory.account(entry))
        if account is None:
            return False
        octets, messages = account.usage_bytes, account.usage_messages
        return (entry.quota_bytes is not None and octets + size > entry.quota_bytes) or (
            entry.quota_messages is not None and messages >= entry.quota_messages
        )

    def _literal(self) -> str:
        return _LITERAL if self._role == "submission" else _RELAY

    def _record(
        self,
        session: MailSession,
        envelope: MailEnvelope,
        queue_id: str,
        outcome: str,
        error: MailError | None = None,
    ) -> None:
        _outcome(self._role, outcome).inc()
        fields = {} if error is None else {"reason": " ".join(map(str, error.smtp))}
        if session.identity is not None:
            fields["user"] = session.identity.address
        logs.event(
            f"smtp.{outcome}",
            id=queue_id,
            peer=session.client.host,
            sender=envelope.mail_from,
            recipients=len(envelope.recipients),
            bytes=len(envelope.content or b""),
            **fields,
        )


class Loop(MailError):
    """The message went round already (RFC 5321 §6.3)."""

    smtp = (554, "5.4.6")
    text = "Too many Received fields, this is a loop"
