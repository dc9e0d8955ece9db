"""One MailDomain: gather, check prerequisites, act, then status (OPERATOR.md rule 7).

Called for every reason alike: created, changed, a child changed, a restart, the sweep. What is missing is a condition;
what fails raises, and the queue comes back. Nothing here depends on what changed.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from mailoperator import conditions as c
from mailoperator.build import names
from mailoperator.build.inputs import BucketInputs, BuildInputs
from mailoperator.build.sending import smarthost_secret
from mailoperator.children import Running, bring_about, bring_about_served, known_apis, running
from mailoperator.conditions import Condition
from mailoperator.context import PAUSED, Context, StorageFailed, StorageReport
from mailoperator.entries import domain_entries
from mailoperator.finalizers import HOST, set_finalizer
from mailoperator.gather import (
    Unusable,
    condition_of,
    domain_of,
    host_of,
    members_of,
    postmaster_of,
    rival_domain,
    told_bytes,
)
from mailoperator.keyedqueue import Retry
from mailoperator.kube import ApiError
from mailoperator.model import MailDomain
from mailoperator.offered import Refused, offered, value
from mailoperator.rollouts import image_of, is_all_of, is_same
from mailoperator.status import write_status
from mailoperator.withdrawing import withdraw_gone
from mailoperator.world import Key, key_of

Raw: TypeAlias = dict[str, Any]
_LATER: Final = 30.0  # seconds, until what is missing is looked for again unasked
_FROM_HOST: Final = (c.STORAGE_READY, c.AVAILABLE)


async def reconcile_domain(ctx: Context, key: Key) -> float | None:
    """Seconds after which to come back unasked; None: when something changes, or with the sweep."""
    gone = ctx.world.gone.get(("MailDomain", key))
    try:
        await withdraw_gone(ctx, "MailDomain", key)
    except StorageFailed:
        ctx.enqueue(("MailDomain", key), _LATER)
    planned = ctx.clock.elapsed()
    raw = ctx.world.get("MailDomain", key)
    if gone is not None and (raw is None or raw["metadata"]["uid"] != gone["metadata"]["uid"]):
        ctx.keys.forget(gone["metadata"]["uid"])
        ctx.certificates.pop(key, None)
        ctx.served.pop(key, None)
    if raw is None:
        ctx.rollouts.end(key)
        return None
    if PAUSED in (raw["metadata"].get("annotations") or {}):
        return None
    ctx.leader.check()
    if raw["metadata"].get("deletionTimestamp"):
        return await _delete(ctx, raw)
    raw = await set_finalizer(ctx.kube, raw, HOST, bool(ctx.world.served_by(key)))
    if raw is None:
        return None
    visit = _Visit(ctx, raw, planned)
    try:
        await visit.act()
    except Unusable as error:
        visit.say(error.condition)
        visit.delay = _LATER
    except StorageFailed as error:
        visit.say(error.condition)
        visit.delay = _LATER
    except Retry as error:
        visit.delay = error.delay
    except ApiError as error:
        if error.status not in (403, 422):
            raise
        visit.say(c.bad(c.AVAILABLE, c.APPLY_REFUSED, error.message))
        visit.delay = _LATER
    await visit.tell()
    return visit.delay


async def _delete(ctx: Context, raw: Raw) -> float | None:
    """A host stays while it serves others: their pods would go with it."""
    served = [other for other in ctx.world.served_by(key_of(raw)) if not other["metadata"].get("deletionTimestamp")]
    if not served:
        await set_finalizer(ctx.kube, raw, HOST, False)
        return None
    words = f"serves {len(served)} other MailDomains; it goes when they have another host or are deleted"
    await _tell(ctx, raw, [c.bad(c.DOMAIN_ACCEPTED, c.DELETING, words)], raw.get("status") or {})
    return None  # the deletion of each of them brings this one back


class _Visit:
    """One reconciliation: what was found out, for the status."""

    def __init__(self, ctx: Context, raw: Raw, planned: float) -> None:
        self.ctx, self.raw, self._planned = ctx, raw, planned
        self.delay: float | None = None
        self._said: dict[str, Condition] = {}
        self._fields: Raw = {"mailboxes": len(ctx.world.mailboxes_of(key_of(raw)))}

    def say(self, *conditions: Condition) -> None:
        self._said |= {condition.type: condition for condition in conditions}

    async def act(self) -> None:
        ctx, domain = self.ctx, domain_of(self.raw)
        self._fields["hostname"] = domain.hostname
        host = host_of(domain, ctx.world)
        if taken := rival_domain(domain, self.raw, ctx.world):
            raise Unusable(taken)
        self.say(c.good(c.DOMAIN_ACCEPTED))
        self._count_usage()
        if domain.is_host:
            await self._host(domain)
        else:
            await self._served(domain, host)
        await self._publish(domain, host)
        await self._dns(domain, host)

    async def _host(self, domain: MailDomain) -> None:
        """Bucket, keys, then pods: what others refer to comes first."""
        ctx = self.ctx
        members = list(members_of(domain, ctx.world.all("MailDomain"), (), ctx.world).domains.values())
        self._fields |= {"servedDomains": len(members), "selector": names.selector_text(domain)}
        report = await ctx.plane.prepare(domain)
        self.say(report.condition)
        await self._smarthost(domain)
        ctx.leader.check()
        await self._keys(domain, members if domain in members else [domain, *members])
        if report.bucket is None:
            self.say(c.unknown(c.AVAILABLE, c.PENDING, "pods come when there is a bucket"))
            self.delay = _LATER
            return
        self._fields["storage"] = {"bucket": report.bucket.bucket, "prefix": report.bucket.prefix}
        done = running(await bring_about(ctx, domain, await self._inputs(domain, members, report)), domain)
        self._note_version(domain, members, done)
        self._fields |= {"replicas": done.replicas, "addresses": done.addresses}
        self.say(_available(done))
        if not report.condition.holds:
            self.delay = _LATER

    def _note_version(self, domain: MailDomain, members: list[MailDomain], done: Running) -> None:
        """What its pods read is told in the entries of all that it serves; while they roll, what was known stays."""
        ctx = self.ctx
        if not is_same(image_of(done.deployment), ctx.settings.pod_image):  # nobody knows which version that is
            ctx.current.discard(domain.key)
        elif is_all_of(done.deployment, ctx.settings.pod_image) and domain.key not in ctx.current:
            ctx.current.add(domain.key)
            for member in members:
                if member.key != domain.key:
                    ctx.enqueue(("MailDomain", member.key), 0.0)

    async def _smarthost(self, domain: MailDomain) -> None:
        """Its Secret must be offered and whole before pods wait for it. Raises Unusable, ApiError."""
        name = smarthost_secret(domain.spec.outbound)
        if name is None:
            return
        try:
            secret = await offered(self.ctx.kube, domain.metadata.namespace, name, "smarthost")
            missing = [key for key in ("username", "password") if not value(secret, key)]
            if missing:
                raise Refused(c.SECRET_INVALID, f"Secret {name} has no {' and no '.join(missing)}")
        except Refused as refused:
            raise Unusable(c.bad(c.AVAILABLE, refused.reason, f"outbound.smarthost: {refused.message}")) from None

    async def _keys(self, host: MailDomain, members: list[MailDomain]) -> None:
        """Of all that it serves; those for whom something changed are told."""
        ctx = self.ctx
        for key, condition in (await ctx.keys.ensure(host, members)).items():
            before = ctx.certificates.get(key)
            ctx.certificates[key] = condition
            if key != host.key and condition != before:
                ctx.enqueue(("MailDomain", key), 0.0)
        self.say(ctx.certificates[host.key])

    async def _inputs(self, domain: MailDomain, members: list[MailDomain], report: StorageReport) -> BuildInputs:
        ctx = self.ctx
        assert report.bucket is not None
        return BuildInputs(
            image=ctx.settings.pod_image,
            bucket=report.bucket,
            directory_keys=await ctx.plane.directory_keys(),
            largest_message=max(member.spec.max_message_size for member in [domain, *members]),
            grace_seconds=ctx.settings.grace_seconds,
            apis=await known_apis(ctx),
        )

    async def _served(self, domain: MailDomain, host: MailDomain) -> None:
        """By another's pods: what its status says holds here. Its own reconciliation packs the keys of all."""
        ctx = self.ctx
        host_raw = ctx.world.get("MailDomain", host.key) or {}
        for type in _FROM_HOST:
            self.say(condition_of(host_raw, type) or c.unknown(type, c.HOST_NOT_READY, f"waiting for {host.key[1]}"))
        told = host_raw.get("status") or {}
        self._fields |= {"addresses": told.get("addresses") or [], "storage": told.get("storage")}
        ctx.leader.check()
        inputs = BuildInputs(image="", bucket=BucketInputs(""), directory_keys=(), apis=await known_apis(ctx))
        await bring_about_served(ctx, domain, inputs)
        if condition := ctx.certificates.get(domain.key):
            self.say(condition)
        else:  # after a restart what is told is not taken back until the host's reconciliation says otherwise
            self.say(condition_of(self.raw, c.CERTIFICATE_READY) or c.unknown(c.CERTIFICATE_READY))
            ctx.enqueue(("MailDomain", host.key), 0.0)

    async def _publish(self, domain: MailDomain, host: MailDomain) -> None:
        """The domain's entry, from which on it is served."""
        storage = self._said[c.STORAGE_READY]
        if not storage.holds:
            self.say(c.unknown(c.DIRECTORY_READY, storage.reason, "waiting for the bucket"))
            return
        self.ctx.leader.check()
        entries = list(domain_entries(domain, postmaster_of(domain, self.ctx.world), self.ctx.reads(host.key)))
        conflicts = await self.ctx.plane.publish(host, entries, self._lives, self._planned)
        if conflicts:
            raise Unusable(
                c.bad(c.DOMAIN_ACCEPTED, c.DOMAIN_TAKEN, f"{conflicts[0][0]} is another MailDomain's already")
            )
        braked = self.ctx.brakes.get(host.key)
        self.say(c.bad(c.DIRECTORY_READY, c.TOO_MANY_WITHDRAWN, braked) if braked else c.good(c.DIRECTORY_READY))

    def _lives(self, owner: str) -> bool:
        return self.ctx.world.lives("MailDomain", owner)

    async def _dns(self, domain: MailDomain, host: MailDomain) -> None:
        if domain.key not in self.ctx.certificates:  # nor are its DKIM keys: what is told stays
            self._fields["dnsRecords"] = (self.raw.get("status") or {}).get("dnsRecords")
            self.say(condition_of(self.raw, c.DNS_READY) or c.unknown(c.DNS_READY))
            return
        addresses = self._fields.get("addresses") or []
        self._fields["dnsRecords"], condition = await self.ctx.dns.check(domain, host, addresses)
        self.say(condition)

    def _count_usage(self) -> None:
        """By what the Mailboxes' statuses tell, so that a restart has nothing to correct."""
        told = [told_bytes(raw) for raw in self.ctx.world.mailboxes_of(key_of(self.raw))]
        counted = [number for number in told if number is not None]
        if counted:
            self._fields["usage"] = {"mailboxes": len(counted), "bytes": sum(counted)}

    async def tell(self) -> None:
        await _tell(self.ctx, self.raw, list(self._said.values()), self._fields)


def _available(done: Running) -> Condition:
    if done.available == 0:
        words = f"none of {done.replicas} pods is ready" if done.replicas else "no pod is there yet"
        return c.bad(c.AVAILABLE, c.NO_PODS_READY, words)
    if done.rolling:
        return Condition(c.AVAILABLE, "True", c.ROLLING_OUT, "pods are being replaced or added")
    return c.good(c.AVAILABLE)


async def _tell(ctx: Context, raw: Raw, said: list[Condition], fields: Raw) -> None:
    lines = c.complete(said, c.DOMAIN_CONDITIONS, c.DOMAIN_READY_NEEDS)
    ctx.leader.check()
    written = await write_status(ctx.kube, ctx.events, raw, lines, fields, now=ctx.clock.now())
    if written is not None:
        ctx.see("MODIFIED", written)
