"""What a deleted object had published is withdrawn at once, not when a comparison misses its owner.

The watch's word is not enough, nor is a list's: the API is asked whether that very object (its UID) is no more. One
that is there after all is remembered again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Literal, TypeAlias

from mailoperator import conditions as c
from mailoperator.context import API, Context
from mailoperator.entries import domain_entries, entries_of
from mailoperator.gather import Unusable, domain_of, host_of, mailbox_of
from mailoperator.handlers import waits_for_address
from mailoperator.model import MailDomain
from mailoperator.world import Key, key_of
from mailpod.directory import Entry

Raw: TypeAlias = dict[str, Any]
_KINDS: Final[tuple[Literal["MailDomain", "Mailbox"], ...]] = ("MailDomain", "Mailbox")


async def withdraw_gone(ctx: Context, kind: Literal["MailDomain", "Mailbox"], key: Key) -> None:
    """Of an object that was deleted, if one was. Raises ApiError, StorageFailed: then it is still to be done."""
    raw = ctx.world.gone.get((kind, key))
    if raw is None:
        return
    uid = raw["metadata"]["uid"]
    live = await ctx.kube.get(API, kind, *key)
    if live is None or live["metadata"]["uid"] != uid:
        ctx.world.end(raw)
        try:
            host, entries = _published(ctx, raw)
        except Unusable:  # its host is gone with it, and with that all who serve it
            pass
        else:
            ctx.leader.check()
            await ctx.plane.withdraw(host, uid, entries)
            await _withdraw_mailboxes(ctx, raw, host)
            if kind == "Mailbox":
                _tell_who_waits(ctx, raw)
    if ctx.world.gone.get((kind, key)) is raw:
        del ctx.world.gone[kind, key]
    if live is not None:
        ctx.see("MODIFIED", live)


async def _withdraw_mailboxes(ctx: Context, raw: Raw, host: MailDomain) -> None:
    """Those of a MailDomain that was deleted: nobody serves their addresses, and a comparison would miss them all."""
    if raw["kind"] != "MailDomain":
        return
    domain = domain_of(raw)
    for other in ctx.world.mailboxes_of(key_of(raw)):
        try:
            entries = list(entries_of(mailbox_of(other), domain, ""))
        except Unusable:
            continue
        ctx.leader.check()
        await ctx.plane.withdraw(host, other["metadata"]["uid"], entries)


async def notice_gone(ctx: Context, namespace: str, living: Collection[str]) -> None:
    """Withdraw what was deleted, also where the watch has not told yet of it: `living` are the UIDs of a list.

    What a list lacks is asked for by its name, so a short list withdraws nothing. Raises ApiError, StorageFailed.
    """
    for kind in _KINDS:
        for raw in ctx.world.all(kind):
            key, uid = key_of(raw), raw["metadata"]["uid"]
            if key[0] == namespace and uid not in living and await ctx.kube.get(API, kind, *key) is None:
                ctx.see("DELETED", raw)
        for gone_kind, key in list(ctx.world.gone):
            if gone_kind == kind and key[0] == namespace:
                await withdraw_gone(ctx, kind, key)


def _tell_who_waits(ctx: Context, raw: Raw) -> None:
    """Mailboxes that were refused for what this one had, and has no more."""
    for other in ctx.world.mailboxes_of((key_of(raw)[0], raw["spec"]["domainRef"]["name"])):
        if waits_for_address(other):
            ctx.enqueue(("Mailbox", key_of(other)), 0.0)


def _published(ctx: Context, raw: Raw) -> tuple[MailDomain, list[Entry]]:
    """Whose bucket its entries are in, and which they are. Raises Unusable."""
    if raw["kind"] == "MailDomain":
        domain = domain_of(raw)
        if domain.is_host:
            raise Unusable(c.bad(c.DOMAIN_ACCEPTED, c.DELETING, "its pods are gone with it"))
        return host_of(domain, ctx.world), list(domain_entries(domain, None))
    mailbox = mailbox_of(raw)
    where = key_of(raw)[0], mailbox.spec.domain_ref.name
    found = ctx.world.get("MailDomain", where) or ctx.world.gone.get(("MailDomain", where))
    domain = domain_of(found or {})
    return host_of(domain, ctx.world), list(entries_of(mailbox, domain, ""))
