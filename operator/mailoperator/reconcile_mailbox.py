"""One Mailbox: its address, its password, its entry in the directory, then status. No pod is ever touched."""

from __future__ import annotations

import datetime
from typing import Any, Final, TypeAlias

from mailoperator import conditions as c
from mailoperator.conditions import Condition
from mailoperator.context import PAUSED, Context, StorageFailed
from mailoperator.entries import address_of, entries_of
from mailoperator.finalizers import PURGE, set_finalizer
from mailoperator.gather import (
    Unusable,
    condition_of,
    domain_of,
    holds,
    host_of,
    mailbox_of,
    reserved_in,
    rival_mailbox,
)
from mailoperator.model import Mailbox, MailDomain
from mailoperator.quantity import format_bytes, parse_quantity
from mailoperator.status import write_status
from mailoperator.withdrawing import withdraw_gone
from mailoperator.world import Key

Raw: TypeAlias = dict[str, Any]
_LATER: Final = 30.0  # seconds, until what is missing is looked for again unasked
_GIVE_UP_SECONDS: Final = 600.0  # OPERATOR.md rule 40: a deleted namespace takes credentials first


async def reconcile_mailbox(ctx: Context, key: Key) -> float | None:
    """Seconds after which to come back unasked; None: when something changes, or with the sweep."""
    try:
        await withdraw_gone(ctx, "Mailbox", key)
    except StorageFailed:
        ctx.enqueue(("Mailbox", key), _LATER)
    planned = ctx.clock.elapsed()
    raw = ctx.world.get("Mailbox", key)
    if raw is None or PAUSED in (raw["metadata"].get("annotations") or {}):
        return None
    ctx.leader.check()
    if raw["metadata"].get("deletionTimestamp"):
        return await _delete(ctx, raw)
    said: dict[str, Condition] = {}
    fields: Raw = {name: (raw.get("status") or {}).get(name) for name in ("address", "usage", "passwordSecretName")}
    try:
        delay = await _serve(ctx, raw, said, fields, planned)
    except Unusable as error:
        said[error.condition.type] = error.condition
        delay = _LATER
    except StorageFailed as error:
        said[c.PUBLISHED] = c.bad(c.PUBLISHED, error.condition.reason, error.condition.message)
        delay = _LATER
    await _tell(ctx, raw, list(said.values()), fields)
    return delay


async def _serve(ctx: Context, raw: Raw, said: dict[str, Condition], fields: Raw, planned: float) -> float | None:
    mailbox = mailbox_of(raw)
    domain, host = _domain(ctx, mailbox)
    if await set_finalizer(ctx.kube, raw, PURGE, mailbox.spec.deletion_policy == "Delete") is None:
        return None
    fields |= {"address": str(address_of(mailbox, domain)), "quota": _quota(mailbox, domain)}
    before = condition_of(raw, c.INTACT)
    said[c.INTACT] = before if before is not None and before.status == "False" else c.good(c.INTACT)
    if used := ctx.usage.get(mailbox.metadata.uid):
        fields["usage"] = {"bytes": used.bytes, "messages": used.messages}
        words = f"{used.damage}; the mail before it can be read, and none is taken: see mailpod fsck, mailpod restore"
        said[c.INTACT] = c.bad(c.INTACT, c.LOG_DAMAGED, words) if used.damage else c.good(c.INTACT)
    if refused := _reserved(mailbox, domain) or rival_mailbox(mailbox, raw, ctx.world):
        raise Unusable(refused)
    password = await ctx.passwords.report(mailbox)
    said[c.PASSWORD_READY] = password.condition
    fields["passwordSecretName"] = password.secret
    host_raw = ctx.world.get("MailDomain", host.key)
    if not holds(host_raw, c.STORAGE_READY) or not holds(ctx.world.get("MailDomain", domain.key), c.DOMAIN_ACCEPTED):
        said[c.ADDRESS_ACCEPTED] = c.good(c.ADDRESS_ACCEPTED) if holds(raw, c.ADDRESS_ACCEPTED) else _waiting()
        raise Unusable(c.bad(c.PUBLISHED, c.DOMAIN_NOT_READY, f"MailDomain {domain.metadata.name} has no storage yet"))
    ctx.leader.check()
    entries = list(entries_of(mailbox, domain, next(iter(password.verifiers), "")))
    conflicts = await ctx.plane.publish(host, entries, lambda owner: ctx.world.lives("Mailbox", owner), planned)
    if conflicts:
        words = f"{conflicts[0][0]} is another Mailbox's already"
        own = fields["address"] in (name for name, _ in conflicts)  # an alias that is another's takes nothing else away
        said[c.ADDRESS_ACCEPTED] = (
            c.bad(c.ADDRESS_ACCEPTED, c.ADDRESS_TAKEN, words) if own else c.good(c.ADDRESS_ACCEPTED)
        )
        said[c.PUBLISHED] = c.bad(c.PUBLISHED, c.ADDRESS_TAKEN, words)
        return _LATER
    said[c.ADDRESS_ACCEPTED] = c.good(c.ADDRESS_ACCEPTED)
    said[c.PUBLISHED] = c.good(c.PUBLISHED)
    return None if password.condition.holds else _LATER


def _domain(ctx: Context, mailbox: Mailbox) -> tuple[MailDomain, MailDomain]:
    """Its MailDomain, and the one whose bucket its mail is in. Raises Unusable."""
    name = mailbox.spec.domain_ref.name
    raw = ctx.world.get("MailDomain", (mailbox.metadata.namespace, name))
    if raw is None:
        words = f"domainRef: there is no MailDomain {name} in this namespace"
        raise Unusable(c.bad(c.ADDRESS_ACCEPTED, c.DOMAIN_MISSING, words))
    try:
        domain = domain_of(raw)
        return domain, host_of(domain, ctx.world)
    except Unusable as error:
        words = f"MailDomain {name}: {error.condition.message}"
        raise Unusable(c.bad(c.PUBLISHED, c.DOMAIN_NOT_READY, words)) from None


def _reserved(mailbox: Mailbox, domain: MailDomain) -> Condition | None:
    if reserved := reserved_in(mailbox, domain):
        words = f"{reserved}@ is reserved; the MailDomain's allowedReservedLocalParts can give it away"
        return c.bad(c.ADDRESS_ACCEPTED, c.ADDRESS_RESERVED, words)
    return None


def _quota(mailbox: Mailbox, domain: MailDomain) -> str | None:
    """As `5Gi` where that is exactly it, else in bytes."""
    limit = mailbox.spec.quota.storage or domain.spec.mailbox_defaults.quota.storage
    if not limit:
        return None
    short = format_bytes(limit)
    return short if parse_quantity(short) == limit else str(limit)


def _waiting() -> Condition:
    return c.unknown(c.ADDRESS_ACCEPTED, c.DOMAIN_NOT_READY, "the MailDomain is not ready to say")


async def _delete(ctx: Context, raw: Raw) -> float | None:
    """Close the account, where the mail goes with the object, and let go of it."""
    if PURGE not in (raw["metadata"].get("finalizers") or []):
        return None
    try:
        mailbox = mailbox_of(raw)
        domain, host = _domain(ctx, mailbox)
        if mailbox.spec.deletion_policy == "Delete":
            address = address_of(mailbox, domain)
            await ctx.plane.close(host, address.domain, address.local, mailbox.metadata.uid)
            await ctx.plane.withdraw(host, mailbox.metadata.uid, list(entries_of(mailbox, domain, "")))
    except (Unusable, StorageFailed) as error:
        if _seconds_since(raw["metadata"]["deletionTimestamp"], ctx.clock.now()) < _GIVE_UP_SECONDS:
            words = f"its mail is not closed yet, and stays if that lasts: {error.condition.message}"
            await _tell(ctx, raw, [c.bad(c.PUBLISHED, error.condition.reason, words)], raw.get("status") or {})
            return _LATER
        words = f"its mail could not be closed and stays in the bucket: {error.condition.message}"
        ctx.events.tell(raw, "Warning", c.STORAGE_GIVEN_UP, words)
    ctx.leader.check()
    await set_finalizer(ctx.kube, raw, PURGE, False)
    return None


def _seconds_since(moment: str, now: float) -> float:
    return now - datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


async def _tell(ctx: Context, raw: Raw, said: list[Condition], fields: Raw) -> None:
    lines = c.complete(said, c.MAILBOX_CONDITIONS, c.MAILBOX_READY_NEEDS)
    ctx.leader.check()
    written = await write_status(ctx.kube, ctx.events, raw, lines, fields, now=ctx.clock.now())
    if written is not None:
        ctx.see("MODIFIED", written)
