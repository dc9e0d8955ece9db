"""The whole directory of one host, compared and repaired: what single changes missed while nobody looked.

It works from complete LISTs of its own, never from the operator's memory (OPERATOR.md rule 34), and stops where too
much would go, until a person approves of it by annotation.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias

from mailoperator import conditions as c
from mailoperator.build import names
from mailoperator.context import API, APPROVE, PAUSED, Context, StorageFailed
from mailoperator.entries import address_of, domain_entries, entries_of, postmaster
from mailoperator.gather import Unusable, condition_of, domain_of, holds, members_of, precedence, told_bytes
from mailoperator.manifests import Manifests
from mailoperator.model import Mailbox, MailDomain
from mailoperator.references import domain_key
from mailoperator.rollouts import is_all_of
from mailoperator.withdrawing import notice_gone
from mailoperator.world import Key
from mailpod.directory import Entry

Raw: TypeAlias = dict[str, Any]
_AT_ONCE: Final = 32
_MEANINGFUL_SHARE: Final = 0.01  # of what a mailbox held: less is not worth a status (rule 2)


async def reconcile_directory(ctx: Context, key: Key) -> float | None:
    """Compare the directory of the host `key`; afterwards what its mailboxes hold is known. With the sweep alone."""
    raw = ctx.world.get("MailDomain", key)
    if raw is None or raw["metadata"].get("deletionTimestamp"):
        return None
    annotations = raw["metadata"].get("annotations") or {}
    if PAUSED in annotations or not holds(raw, c.STORAGE_READY):
        return None
    try:
        host = domain_of(raw)
    except Unusable:
        return None
    if not host.is_host:
        return None
    planned = ctx.clock.elapsed()
    domains = await ctx.kube.list(API, "MailDomain", key[0])
    mailboxes = await ctx.kube.list(API, "Mailbox", key[0])
    uids = {raw["metadata"]["uid"] for raw in (*domains, *mailboxes)}
    # of two who want an address that nobody has, the first is taken
    found = members_of(host, sorted(domains, key=precedence), sorted(mailboxes, key=precedence), ctx.world)
    try:
        await notice_gone(ctx, key[0], uids)  # whose deletion is known is not missed
        await _look_at_pods(ctx, host)
        entries = await _entries(ctx, found, ctx.reads(key))
        ctx.leader.check()
        stopped = await ctx.plane.compare(host, entries, annotations.get(APPROVE), uids.__contains__, planned)
        await _count(ctx, host, found, entries)
    except StorageFailed:
        return None  # the MailDomain's own reconciliation says so
    _note_brake(ctx, key, stopped)
    return None


async def _look_at_pods(ctx: Context, host: MailDomain) -> None:
    """After a start this may come before the host's own reconciliation, and takes back nothing that still holds."""
    if host.key not in ctx.current:
        deployment = await ctx.kube.get("apps/v1", "Deployment", host.key[0], names.base(host))
        if deployment is not None and is_all_of(deployment, ctx.settings.pod_image):
            ctx.current.add(host.key)


async def _entries(ctx: Context, found: Manifests, reads: tuple[str, ...]) -> list[Entry]:
    entries: list[Entry] = []
    for domain in found.domains.values():
        ref = domain.spec.postmaster_ref
        known = ref is None or (domain.metadata.namespace, ref.name) in found.mailboxes
        entries += domain_entries(domain, postmaster(domain, found) if known else None, reads)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def verifier(mailbox: Mailbox) -> str:
        async with slots:
            return next(iter((await ctx.passwords.report(mailbox)).verifiers), "")

    verifiers = await asyncio.gather(*map(verifier, found.mailboxes.values()))
    for mailbox, found_verifier in zip(found.mailboxes.values(), verifiers, strict=True):
        entries += entries_of(mailbox, found.domains[domain_key(mailbox)], found_verifier)
    return entries


def _note_brake(ctx: Context, key: Key, stopped: str | None) -> None:
    """The MailDomain's status tells of it, and when it is over."""
    if ctx.brakes.get(key) == stopped:
        return
    if stopped is None:
        del ctx.brakes[key]
    else:
        ctx.brakes[key] = stopped
    ctx.enqueue(("MailDomain", key), 0.0)


async def _count(ctx: Context, host: MailDomain, found: Manifests, entries: list[Entry]) -> None:
    """What mailboxes hold, where it differs enough from what their statuses tell. An empty one need not be told."""
    by_address = await ctx.plane.usage(host, entries)
    for mailbox in found.mailboxes.values():
        domain = found.domains[domain_key(mailbox)]
        used = by_address.get(str(address_of(mailbox, domain)))
        told = told_bytes(ctx.world.get("Mailbox", mailbox.key)) or 0
        intact = condition_of(ctx.world.get("Mailbox", mailbox.key), c.INTACT)
        news = used is not None and bool(used.damage) != (intact is not None and intact.status == "False")
        if used is not None and (news or abs(used.bytes - told) > _MEANINGFUL_SHARE * told):
            ctx.usage[mailbox.metadata.uid] = used
            ctx.enqueue(("Mailbox", mailbox.key), 0.0)
            ctx.enqueue(("MailDomain", domain.key), 1.0)
