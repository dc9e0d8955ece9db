"""The key Secrets of one server, made what they should be: certificates packed, DKIM keys made and rotated.

- Keys that exist are never lost to a race or an old copy: a Secret is read, changed and replaced with its
  resourceVersion (a conflict reads again), not applied, which would drop what this copy does not have.
- A new key is stored before its record is shown to anyone.
- What a domain that has gone leaves behind: its certificate goes at once, its DKIM keys stay for `keep_gone` seconds.
- One Secret at a time, so that a killed operator loses the work on one at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from mailoperator import dkim, hintkeys, keysecrets
from mailoperator.build import names
from mailoperator.certificates import HOST_CERTIFICATE, HostsOwn, Offer, TlsPair, choose, host_covers
from mailoperator.conditions import CERTIFICATE_READY, SECRET_NAME_TAKEN, Condition
from mailoperator.dkim import DamagedKeys, DkimSchedule, KeyPair
from mailoperator.keysecrets import DomainKeys
from mailoperator.kube import ApiError, Raw
from mailoperator.model import MailDomain

KEYS_FULL: Final = "KeySecretFull"  # a reason: the Secret that the domain's hash leads to has no room
KEYS_DAMAGED: Final = "KeysDamaged"  # a reason: stored DKIM keys cannot be understood
_ATTEMPTS: Final = 5


class Writer(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def create(self, obj: Raw) -> Raw: ...
    async def update(self, obj: Raw) -> Raw: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A domain that the server serves, its own among them."""

    domain: str
    """A-labels."""
    names: tuple[str, ...]
    """What its certificate must be for: the hostname first."""
    offer: Offer


@dataclass(frozen=True, slots=True)
class Report:
    """What is so for a domain now."""

    certificate: Condition
    dkim: tuple[KeyPair, ...] = ()
    """Pairs to publish: all that are stored."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How keys are kept. `resolves` tells whether a domain's pair is in the DNS, both records; `all_known` whether the
    members are surely all, so that others' files may go.
    """

    schedule: DkimSchedule
    resolves: Callable[[str, KeyPair], bool]
    now: Callable[[], float]
    keep_gone: float = 30 * 86_400.0
    all_known: Callable[[], bool] = lambda: True


async def reconcile_keys(
    kube: Writer, host: MailDomain, members: Sequence[Member], rules: Rules, *, only: frozenset[str] | None = None
) -> dict[str, Report]:
    """Reports by domain. `members` are all that the server serves; `only` limits the work to the Secrets of these.

    Raises ApiError. Nothing is written where nothing changed.
    """
    buckets: dict[int, list[Member]] = {number: [] for number in range(names.KEY_SECRETS)}
    for member in members:
        buckets[keysecrets.bucket_of(member.domain)].append(member)
    own = keysecrets.bucket_of(host.spec.domain_name)
    order = sorted(buckets, key=lambda number: number != own)  # the host's first: others may lean on its certificate
    if only is not None:
        wanted = {keysecrets.bucket_of(domain) for domain in only} | {own}
        order = [number for number in order if number in wanted]
    reports: dict[str, Report] = {}
    hosts_own: TlsPair | None = None
    for number in order:
        bucket = _Bucket(host, number, buckets[number], rules, hosts_own)
        reports |= await bucket.reconcile(kube)
        hosts_own = hosts_own or bucket.pair_of(host.spec.domain_name)
    return reports


class _Bucket:
    """One of the Secrets, and the domains whose hash leads to it."""

    def __init__(
        self, host: MailDomain, number: int, members: Sequence[Member], rules: Rules, hosts_own: TlsPair | None
    ) -> None:
        self._host, self._number, self._rules, self._hosts_own = host, number, rules, hosts_own
        self._members = sorted(members, key=lambda member: (member.domain != host.spec.domain_name, member.domain))
        self._made: dict[str, KeyPair] = {}  # kept over a conflict: a key costs 0.1 s
        self._kept: dict[str, DomainKeys] = {}

    def pair_of(self, domain: str) -> TlsPair | None:
        """The certificate that is served for a domain of this bucket."""
        keys = self._kept.get(domain)
        return keys.tls if keys else None

    async def reconcile(self, kube: Writer) -> dict[str, Report]:
        name = names.key_secret(self._host, self._number)
        for attempt in range(_ATTEMPTS):
            live = await kube.get("v1", "Secret", self._host.metadata.namespace, name)
            if live and not _is_ours(live, self._host):
                return self._all(SECRET_NAME_TAKEN, f"Secret {name} is there and not this MailDomain's")
            before = keysecrets.decode(live)
            after, reports = await self._next(before)
            try:
                await self._write(kube, live, before, after)
                return reports
            except ApiError as error:
                if error.status != 409 or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _write(
        self, kube: Writer, live: Raw | None, before: Mapping[str, bytes], after: dict[str, bytes]
    ) -> None:
        if after == before:
            return
        secret = keysecrets.build_key_secret(self._host, self._number, after)
        if live is None:
            await kube.create(secret)
        else:
            metadata = {**live["metadata"], **secret["metadata"]}
            await kube.update({**secret, "metadata": metadata})

    async def _next(self, before: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, Report]]:
        """The Secret's files as they should be, from those that are there."""
        groups = keysecrets.by_label(before)
        if any(member.domain == self._host.spec.domain_name for member in self._members):
            key = hintkeys.current(before.get(hintkeys.FILE), self._rules.now())
            groups[""] = {**groups.get("", {}), hintkeys.FILE: key}
        reports: dict[str, Report] = {}
        labels = {keysecrets.label_of(member.domain): member for member in self._members}
        absent = groups.keys() - labels.keys() - {""} if self._rules.all_known() else set()
        for label in absent:
            groups[label] = self._without_owner(label, groups[label])
        held = [label for label in groups if label not in absent]
        for label, member in labels.items():
            try:
                keys = keysecrets.read(label, groups.get(label, {}))
            except DamagedKeys as error:
                reports[member.domain] = self._damaged(error)
                continue
            keys, condition = await self._keys_of(member, keys)
            self._kept[member.domain] = keys
            groups[label] = keysecrets.written(label, keys)
            reports[member.domain] = Report(condition, keys.dkim)
        data, refused = keysecrets.fitting(groups, held)
        for label in refused:
            # what it had stays, so that nothing is lost for want of room
            data |= {name: content for name, content in before.items() if name in groups[label]}
            if label in labels:
                reports[labels[label].domain] = self._full()
        return data, reports

    async def _keys_of(self, member: Member, keys: DomainKeys) -> tuple[DomainKeys, Condition]:
        now = self._rules.now()
        pairs = keys.dkim
        if dkim.needs_new(pairs, now, self._rules.schedule):
            pairs = (*pairs, await self._new_pair(member.domain, pairs, now))
        pairs = dkim.advance(pairs, now, self._rules.schedule, lambda pair: self._rules.resolves(member.domain, pair))
        offer = member.offer
        if isinstance(offer, HostsOwn) and host_covers(self._hosts_own, member.names, now):
            message = f"{self._host.spec.domain_name}'s certificate is for {', '.join(member.names)} too"
            return DomainKeys(None, pairs), Condition(CERTIFICATE_READY, "True", HOST_CERTIFICATE, message)
        tls, condition = choose(offer, keys.tls, member.names, now)
        return DomainKeys(tls, pairs), condition

    async def _new_pair(self, domain: str, pairs: Sequence[KeyPair], now: float) -> KeyPair:
        if domain not in self._made:
            self._made[domain] = await asyncio.to_thread(dkim.make, [pair.id for pair in pairs], now)
        return self._made[domain]

    def _without_owner(self, label: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
        try:
            keys = keysecrets.read(label, files)
        except DamagedKeys:
            return dict(files)
        now = self._rules.now()
        left = now if keys.left is None else keys.left
        if now - left >= self._rules.keep_gone:
            return {}
        return keysecrets.written(label, replace(keys, tls=None, left=float(int(left))))

    def _damaged(self, error: DamagedKeys) -> Report:
        name = names.key_secret(self._host, self._number)
        return _bad(KEYS_DAMAGED, f"DKIM keys in Secret {name} cannot be used: {error}. They are left as they are")

    def _full(self) -> Report:
        name = names.key_secret(self._host, self._number)
        return _bad(KEYS_FULL, f"Secret {name} has no room for this domain's keys: serve it by another MailDomain")

    def _all(self, reason: str, message: str) -> dict[str, Report]:
        return {member.domain: _bad(reason, message) for member in self._members}


def _bad(reason: str, message: str) -> Report:
    return Report(Condition(CERTIFICATE_READY, "False", reason, message))


def _is_ours(live: Raw, host: MailDomain) -> bool:
    owners = live["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == host.metadata.uid for owner in owners)
