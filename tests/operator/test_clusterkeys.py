"""Hundreds of MailDomains ask for one host's keys: what is done, and what is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.operator.fakekube import FakeKube
from tests.operator.keykit import DAY, NOW, StillClock, domain, pair, tls_secret

from mailoperator import dkim
from mailoperator.clusterdns import ClusterDns
from mailoperator.clusterkeys import ClusterKeys
from mailoperator.dkim import DkimSchedule, KeyPair
from mailoperator.model import MailDomain
from mailoperator.world import World

HOST = domain("host.test")
PAIR = dkim.make([], NOW)


class CountingKube(FakeKube):
    reads = 0

    async def get(self, *where: Any) -> dict[str, Any] | None:
        self.reads += 1
        return await super().get(*where)


@pytest.fixture(autouse=True)
def _cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(taken: list[str], now: float) -> KeyPair:
        return replace(PAIR, id=f"mp{len(taken)}x{int(now)}", made=now)

    monkeypatch.setattr(dkim, "make", make)


def served(name: str, **spec: Any) -> MailDomain:
    return domain(name, servedByRef={"name": "host-test"}, **spec)


def keys_of(kube: FakeKube, world: World | None = None, clock: StillClock | None = None) -> ClusterKeys:
    world = world or World()
    world.listed.add("MailDomain")
    return ClusterKeys(kube, world, clock or StillClock(), schedule=DkimSchedule(), checker=None)


async def test_all_domains_at_once_cost_one_visit() -> None:
    kube, members = CountingKube(), [HOST, *(served(f"d{number}.test") for number in range(60))]
    keys = keys_of(kube)
    found = await asyncio.gather(*(keys.ensure(HOST, members) for _ in members))
    assert kube.reads == 16
    assert {condition.status for told in found for condition in told.values()} == {"True"}
    assert set(found[0]) == {member.key for member in members}


async def test_one_more_domain_touches_its_own_secret_alone() -> None:
    kube, members = CountingKube(), [HOST, *(served(f"d{number}.test") for number in range(60))]
    keys = keys_of(kube)
    await keys.ensure(HOST, members)
    reads, writes = kube.reads, kube.writes
    late = served("late.test")
    assert (await keys.ensure(HOST, [*members, late]))[late.key].holds
    assert (kube.reads - reads <= 2, kube.writes - writes) == (True, 1)
    found = await keys.ensure(HOST, members)
    assert late.key not in found
    assert (kube.reads - reads <= 4, kube.writes - writes) == (True, 2)
    assert keys.published(HOST, "late.test") == ()


async def test_before_the_first_list_nothing_is_taken_away() -> None:
    """An operator that starts sees MailDomains one by one."""
    kube, world, members = FakeKube(), World(), [HOST, *(served(f"d{number}.test") for number in range(20))]
    await keys_of(kube).ensure(HOST, members)
    before = kube.state()
    starting = ClusterKeys(kube, world, StillClock(), schedule=DkimSchedule(), checker=None)
    for seen in range(1, len(members)):
        await starting.ensure(HOST, members[:seen])
    assert kube.state() == before
    world.listed.add("MailDomain")
    await starting.ensure(HOST, members)
    assert kube.state() == before
    await starting.ensure(HOST, members[:-1])
    assert kube.state() != before


async def test_what_somebody_removed_is_made_again_in_time_and_a_restart_writes_nothing() -> None:
    kube, clock = CountingKube(), StillClock()
    keys = keys_of(kube, clock=clock)
    await keys.ensure(HOST, [HOST])
    before = kube.state()
    assert (await keys_of(kube).ensure(HOST, [HOST]))[HOST.key].holds
    assert kube.state() == before

    where = next(iter(kube.objects))
    del kube.objects[where]
    await keys.ensure(HOST, [HOST])
    assert where not in kube.objects
    clock.passed = 241
    await keys.ensure(HOST, [HOST])
    assert where in kube.objects


async def test_changed_certificate_is_packed_when_the_watch_tells() -> None:
    kube, world = CountingKube(), World()
    own = domain("host.test", tls={"secretRef": {"name": "bought"}})
    keys = keys_of(kube, world)
    told = (await keys.ensure(own, [own]))[own.key]
    assert (told.status, told.reason) == ("False", "SecretMissing")
    for ends in (30 * DAY, 90 * DAY):
        bought = pair("mail.host.test", ends=NOW + ends)
        kube.user_applies(tls_secret("bought", bought))
        world.put(kube.objects["v1", "Secret", "mail", "bought"])
        assert (await keys.ensure(own, [own]))[own.key].status == "True"
        assert bought.certificate in await packed(kube)


async def test_secret_that_the_watch_lacks_is_read_again_soon() -> None:
    kube, clock = CountingKube(), StillClock()
    own = domain("host.test", tls={"secretRef": {"name": "bought"}})
    keys = keys_of(kube, clock=clock)
    assert not (await keys.ensure(own, [own]))[own.key].holds
    kube.user_applies(tls_secret("bought", pair("mail.host.test")))
    clock.passed = 31
    assert (await keys.ensure(own, [own]))[own.key].holds


async def packed(kube: FakeKube) -> list[bytes]:
    from mailoperator.keysecrets import decode

    return [
        content
        for (_, kind, _, name), raw in kube.objects.items()
        if kind == "Secret" and "-keys-" in name
        for content in decode(raw).values()
    ]


async def test_records_of_the_status_have_the_keys_and_fit_its_schema() -> None:
    from mailoperator.model_status import DnsRecord

    kube = FakeKube()
    keys = keys_of(kube)
    await keys.ensure(HOST, [HOST])
    found, condition = await ClusterDns(keys, None).check(HOST, HOST, ["192.0.2.1"])
    assert (condition.status, condition.reason) == ("Unknown", "NotChecked")
    assert [record["name"] for record in found if "_domainkey" in record["name"]] == [
        f"{selector}._domainkey.host.test" for selector in keys.published(HOST, "host.test")[0].selectors
    ]
    assert [DnsRecord.model_validate(record).wire() for record in found] == found


async def test_the_servers_addresses_are_in_the_policy_of_each_domain() -> None:
    keys = keys_of(FakeKube())
    host = domain("host.test", outbound={"addresses": ["198.51.100.9", "2001:db8::/64"]})
    served = domain("served.test", servedByRef={"name": "host-test"})
    await keys.ensure(host, [host, served])
    for each in (host, served):
        found, _ = await ClusterDns(keys, None).check(each, host, [])
        assert "v=spf1 mx ip4:198.51.100.9 ip6:2001:db8::/64 ~all" in [record["value"] for record in found]
