"""Final delivery: one message into one mailbox of this server."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from mailpod import logs, metrics
from mailpod.errors import AccountClosed, AccountMissing, NoSuchMailbox, OverQuota
from mailpod.store import Limits, NewMessage

if TYPE_CHECKING:
    from mailpod.directory import MailboxEntry
    from mailpod.services import Services
    from mailpod.store import AccountRef, Appended


async def deliver(
    services: Services,
    entry: MailboxEntry,
    sender: str,
    message: Sequence[bytes],
    *,
    queue_id: str,
    delivery_id: str | None = None,
    within_quota: bool = True,
    folder: str = "INBOX",
    not_after: float = inf,
) -> Appended:
    """Commit a message, given in pieces, into a folder of the mailbox, INBOX where it has no such folder (any more).

    Returns when that is durable; no commit is begun after `not_after` (Clock.elapsed). `queue_id` is what the message
    is called in the logs.

    An account that was closed, or is not there, is looked up once more past the directory's cache (STORE.md rule 15).
    Raises OverQuota if `within_quota`, Unavailable, AccountReadOnly.
    """
    data = b"".join((_final_fields(sender, entry.address), *message))
    new = NewMessage(data, delivery_id=delivery_id, not_after=not_after)
    limits = Limits(entry.quota_bytes, entry.quota_messages) if within_quota else None
    try:
        added = await _append(services, entry, await services.directory.account(entry), new, limits, folder)
    except (AccountClosed, AccountMissing):
        ref = await services.directory.account(entry, fresh=True)
        added = await _append(services, entry, ref, new, limits, folder)
    except OverQuota:
        metrics.OVER_QUOTA.labels(entry.domain).inc()
        raise
    if not added.duplicate:
        messages, octets = metrics.delivered(entry.domain)
        messages.inc()
        octets.inc(len(new.data))
        logs.event(
            "mail.delivered",
            id=queue_id,
            user=entry.address,
            folder=folder,
            uidvalidity=added.uidvalidity,
            uid=added.uids[0],
        )
    return added


def _final_fields(sender: str, recipient: str) -> bytes:
    """Return-Path (RFC 5321 §4.4) and Delivered-To, which are added where a message enters its mailbox."""
    return f"Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n".encode()


async def _append(
    services: Services, entry: MailboxEntry, ref: AccountRef, message: NewMessage, limits: Limits | None, folder: str
) -> Appended:
    account = await services.store.open(ref)
    try:
        try:
            added = await account.append(folder, [message], limits=limits)
        except NoSuchMailbox:
            added = await account.append("INBOX", [message], limits=limits)
        services.quota.grown(account, entry)
        return added
    finally:
        account.release()
