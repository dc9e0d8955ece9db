"""Look-ups: what is there, what is not, and what cannot be told just now."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.harness.zone import Zone
from tests.operator import unbound
from tests.operator.keykit import StillClock

from mailpod.clock import SystemClock
from mailpod.dns.answers import LookupFailed, Mx, NoData, NoSuchName, Tlsa
from mailpod.dns.resolver import Resolver
from mailpod.dns.settings import DnsSettings

RECORDS = (
    "example.test. MX 10 MX.example.test.",
    "example.test. MX 20 b.example.test.",
    "example.test. TXT \"v=spf1 \" \"-all\"",
    "mx.example.test. A 192.0.2.1",
    "mx.example.test. AAAA 2001:db8::1",
    "b.example.test. A 192.0.2.2",
    "null.test. MX 0 .",
    "alias.example.test. CNAME b.example.test.",
    "xn--bcher-kva.test. MX 5 mx.example.test.",
    "_25._tcp.mx.example.test. TLSA 3 1 1 " + "ab" * 32,
    "1.2.0.192.in-addr.arpa. PTR mx.example.test.",
)  # fmt: skip


async def test_records() -> None:
    resolver = Zone(*RECORDS).resolver()
    assert set((await resolver.mx("Example.Test.")).records) == {Mx(10, "mx.example.test"), Mx(20, "b.example.test")}
    assert (await resolver.mx("null.test")).records == (Mx(0, ""),)
    assert (await resolver.mx("bücher.test")).records == (Mx(5, "mx.example.test"),)
    assert (await resolver.addresses("mx.example.test")).records == ("2001:db8::1", "192.0.2.1")
    assert (await resolver.txt("example.test")).records == (b"v=spf1 -all",)
    assert (await resolver.tlsa("_25._tcp.mx.example.test")).records == (Tlsa(3, 1, 1, b"\xab" * 32),)
    assert (await resolver.ptr("192.0.2.1")).records == ("mx.example.test",)
    assert (await resolver.cname("alias.example.test")).records == ("b.example.test",)


async def test_an_alias_says_where_it_led() -> None:
    answer = await Zone(*RECORDS).resolver().addresses("alias.example.test")
    assert answer.records == ("192.0.2.2",) and answer.canonical == "b.example.test"


async def test_absence_and_failure_differ() -> None:
    zone = Zone(*RECORDS)
    zone.failing.add("broken.test")
    resolver = zone.resolver()
    with pytest.raises(NoSuchName):
        await resolver.mx("nowhere.test")
    with pytest.raises(NoData):
        await resolver.mx("mx.example.test")
    for look_up in (resolver.mx, resolver.addresses, resolver.txt):
        with pytest.raises(LookupFailed):
            await look_up("broken.test")
    for name in ("", ".", "a..b", "x" * 64 + ".test", "\udcff.test"):
        with pytest.raises(NoSuchName):
            await resolver.mx(name)


async def test_remembered_for_the_ttl_and_a_failure_not_at_all() -> None:
    clock, zone = StillClock(), Zone(*RECORDS, ttl=100)
    zone.failing.add("broken.test")
    resolver = zone.resolver(clock)
    for seconds, queries in ((0, 1), (99, 1), (1, 2)):
        clock.passed += seconds
        await resolver.mx("example.test")
        assert len(zone.asked) == queries
    zone.asked.clear()
    for _ in range(2):
        with pytest.raises(NoSuchName):
            await resolver.mx("nowhere.test")
        with pytest.raises(LookupFailed):
            await resolver.mx("broken.test")
    assert zone.asked == [("nowhere.test", "MX"), ("broken.test", "MX"), ("broken.test", "MX")]


async def test_one_question_at_a_time_for_all_who_ask() -> None:
    zone = Zone(*RECORDS)
    resolver = zone.resolver()
    await asyncio.gather(*(resolver.mx("example.test") for _ in range(10)))
    assert zone.asked == [("example.test", "MX")]


async def test_the_cache_is_bounded() -> None:
    zone = Zone(*(f"{n}.test. MX 1 mx.test." for n in range(5)))
    resolver = zone.resolver(settings=DnsSettings(cache_entries=3))
    for n in (0, 1, 2, 3, 4, 0):
        await resolver.mx(f"{n}.test")
    assert len(zone.asked) == 6


async def test_a_real_server(tmp_path: Path) -> None:
    with unbound.running(tmp_path, RECORDS[:-1], zones=("test.",)) as server:
        resolver = Resolver(DnsSettings(resolver=server, timeout=3), SystemClock())
        answer = await resolver.mx("example.test")
        assert set(answer.records) == {Mx(10, "mx.example.test"), Mx(20, "b.example.test")}
        assert answer.ttl > 0 and not answer.authentic
        assert (await resolver.mx("null.test")).records == (Mx(0, ""),)
        with pytest.raises(NoSuchName):
            await resolver.mx("nowhere.test")
        with pytest.raises(NoData):
            await resolver.mx("b.example.test")
        with pytest.raises(LookupFailed):
            await resolver.mx("elsewhere.example")


async def test_no_server_at_all() -> None:
    resolver = Resolver(DnsSettings(resolver="127.0.0.1:9", timeout=0.2), SystemClock())
    with pytest.raises(LookupFailed):
        await resolver.mx("example.test")


@pytest.mark.parametrize("wrong", ["127.0.0.1", ":53", "host:0", "host:99999", "host:x"])
def test_a_resolver_is_host_and_port(wrong: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        DnsSettings(resolver=wrong)
