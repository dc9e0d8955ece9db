"""What a submission server owes (RFC 6409): a user sends as themselves, and what leaves is whole, signed and counted.

- An address is a user's own where mail for it goes to their mailbox and no other: the mailbox's, its aliases', those in
  alias domains, and each with a +tag.
- What cannot be judged (the bucket is away) is a temporary failure, never let pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailpod.addresses import normalize
from mailpod.errors import MailError, TooBig, Unavailable
from mailpod.smtp import submitted, trace
from mailpod.smtp.session import Recipient

if TYPE_CHECKING:
    from mailpod.auth.identity import Identity
    from mailpod.services import Services
    from mailpod.smtp.session import MailEnvelope
    from mailpod.store.outbound import RecipientOptions


class NotYours(MailError):
    """An address in the reverse-path, From or Sender that the user may not write there."""

    smtp = (553, "5.7.1")

    def __init__(self, address: str) -> None:
        super().__init__(f"You may not send as {address}: it is not an address of yours")


class BadAuthor(MailError):
    """From or Sender cannot be judged."""

    smtp = (550, "5.6.0")


class TooFast(MailError):
    """More recipients than a user may write to within the hour."""

    smtp = (450, "4.7.1")
    text = "You have written to too many recipients within the hour, try again later"


@dataclass(frozen=True, slots=True)
class Ready:
    """Signatures are of `added` and `content`, and stand before the trace fields."""

    signatures: bytes
    added: bytes
    content: bytes


async def check_sender(services: Services, identity: Identity, address: str) -> None:
    """Whether the user may have `address` as reverse-path. Raises NotYours, Unavailable.

    The null one is anybody's: mail programs send receipts with it (RFC 8098 §3).
    """
    if address and not await _owns(services, identity, address):
        raise NotYours(address)


def count_recipient(services: Services, identity: Identity) -> None:
    """Raises TooFast."""
    if not services.rates.take(identity.address, services.clock.elapsed()):
        raise TooFast


async def add_elsewhere(
    services: Services, identity: Identity, envelope: MailEnvelope, address: str, options: RecipientOptions
) -> None:
    """A recipient of a domain that is not served here, with the local part as it was written (RFC 5321 §2.4).

    The size that the sender's own domain takes is the most that leaves it. Raises TooBig, Unavailable.
    """
    domain = await services.directory.domain(identity.entry.domain)
    if domain is None:
        raise Unavailable
    if envelope.declared_size is not None and envelope.declared_size > domain.max_message_bytes:
        raise TooBig
    envelope.max_bytes = min(envelope.max_bytes or domain.max_message_bytes, domain.max_message_bytes)
    to = f"{address.rpartition('@')[0]}@{normalize(address).domain}"
    envelope.recipients.setdefault(to, Recipient(None, to, options))
    envelope.rcpt_tos.append(to)


async def prepare(services: Services, identity: Identity, content: bytes, *, sender: str, queue_id: str) -> Ready:
    """A message as it leaves.

    Raises NotYours, BadAuthor, Unavailable.
    """
    author = await _author(services, identity, content)
    content = submitted.without_bcc(content)
    now, name = services.clock.now(), services.settings.hostname
    added = trace.missing_fields(content, seconds=now, queue_id=queue_id, domain=name)
    if author is None:
        author = sender or identity.address
        added += f"From: <{author}>\r\n".encode()
    signatures = await services.signer.sign(
        added + content,
        domain=normalize(author).domain,
        owner=identity.entry.domain,
        seconds=now,
        queue_id=queue_id,
    )
    return Ready(signatures, added, content)


async def _author(services: Services, identity: Identity, content: bytes) -> str | None:
    """The first address in From, if there is a From: all there are the user's, as is Sender's."""
    try:
        authors, senders = submitted.authors(content)
    except ValueError as problem:
        raise BadAuthor(str(problem)) from None
    for address in (*authors, *senders):
        if not await _owns(services, identity, address):
            raise NotYours(address)
    return authors[0] if authors else None


async def _owns(services: Services, identity: Identity, address: str) -> bool:
    return [entry.address for entry in await services.directory.resolve(address)] == [identity.address]
