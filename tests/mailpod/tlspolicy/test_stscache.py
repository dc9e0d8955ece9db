"""MTA-STS policies over time: what DNS and HTTPS say, and what was once had."""

from __future__ import annotations

from tests.harness.zone import Zone

from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import StorageError
from mailpod.store.stspolicies import StsPolicies
from mailpod.tlspolicy.failure import CannotFetch, Failure
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.sts import StsPolicy
from mailpod.tlspolicy.stscache import StsCache

DAY = 86400.0
OLD = StsPolicy("enforce", int(7 * DAY), ("old.example",))
NEW = StsPolicy("enforce", int(7 * DAY), ("new.example",))


class HandClock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.time = 0.0

    def elapsed(self) -> float:
        return self.time

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Site:
    """The HTTPS server; `there` None: nobody answers."""

    def __init__(self, there: StsPolicy | None) -> None:
        self.there, self.asked = there, 0

    async def policy(self, domain: str) -> StsPolicy:
        self.asked += 1
        if self.there is None:
            raise CannotFetch("sts-policy-fetch-error", "nobody answers")
        return self.there


class World:
    def __init__(
        self,
        there: StsPolicy | None = OLD,
        *,
        announced: str | None = "1",
        capacity: int = 100,
        other: World | None = None,
    ) -> None:
        """`other`: a pod of the same bucket."""
        self.clock, self.zone, self.site = other.clock if other else HandClock(), Zone(ttl=0), Site(there)
        self.announce(announced)
        settings = TlsPolicySettings(cache_entries=capacity)
        self.bucket = other.bucket if other else MemoryObjects(self.clock)
        keeper = StsPolicies(self.bucket, self.clock)
        self.cache = StsCache(settings, self.zone.resolver(self.clock), self.site, self.clock, keeper)

    def announce(self, number: str | None) -> None:
        self.zone.remove("_mta-sts.example")
        if number is not None:
            self.zone.add(f'_mta-sts.example TXT "v=STSv1; id={number}"')

    async def after(self, seconds: float) -> StsPolicy | Failure | None:
        self.clock.time += seconds
        return await self.cache.find("example")


async def test_nothing_announced_is_nothing_asked() -> None:
    world = World(announced=None)
    assert await world.after(0) is None
    assert world.site.asked == 0


async def test_a_policy_is_fetched_once_a_day() -> None:
    world = World()
    assert await world.after(0) == OLD
    assert await world.after(DAY / 2) == OLD
    assert world.site.asked == 1
    assert await world.after(DAY) == OLD
    assert world.site.asked == 2


async def test_a_new_id_is_a_new_policy() -> None:
    world = World()
    assert await world.after(0) == OLD
    world.site.there = NEW
    assert await world.after(3600) == OLD
    world.announce("2")
    assert await world.after(3600) == NEW


async def test_a_policy_that_was_had_holds_while_dns_and_https_fail() -> None:
    """RFC 8461 §3.3, §5.1."""
    world = World()
    assert await world.after(0) == OLD
    world.site.there = None
    assert await world.after(2 * DAY) == OLD
    world.announce("2")
    assert await world.after(DAY) == OLD
    world.announce(None)
    assert await world.after(DAY) == OLD
    world.zone.failing.add("_mta-sts.example")
    assert await world.after(2 * DAY) == OLD
    assert await world.after(1.5 * DAY) is None  # its max_age, since it was last had


async def test_a_fetch_that_failed_is_not_tried_again_at_once() -> None:
    world = World(None)
    assert await world.after(0) == Failure("sts-policy-fetch-error", "nobody answers")
    assert isinstance(await world.after(200), Failure)
    assert world.site.asked == 1
    world.site.there = OLD
    assert await world.after(200) == OLD


async def test_a_policy_of_a_short_age_is_fetched_again_in_time() -> None:
    world = World(StsPolicy("testing", 600, ("a.example",)))
    await world.after(0)
    await world.after(301)
    assert world.site.asked == 2


async def test_another_pod_knows_what_one_had() -> None:
    """So that who can block DNS and HTTPS need not only wait for a restart."""
    first = World()
    await first.after(0)
    second = World(None, announced=None, other=first)
    assert await second.after(DAY) == OLD
    assert await second.after(5 * DAY) == OLD
    assert await second.after(DAY + 1) is None


async def test_without_the_bucket_a_policy_is_remembered_all_the_same() -> None:
    world = World()

    async def fails(*_: object) -> None:
        raise StorageError("away")

    world.bucket.get_with_time = world.bucket.put = fails  # type: ignore[method-assign, assignment]
    assert await world.after(0) == OLD
    assert await world.after(DAY / 2) == OLD
    assert world.site.asked == 1


async def test_few_domains_are_remembered() -> None:
    world = World(capacity=1)
    await world.after(0)
    world.zone.add('_mta-sts.another TXT "v=STSv1; id=1"')
    await world.cache.find("another")
    await world.after(0)
    assert world.site.asked == 2  # and the first is read from the bucket again
