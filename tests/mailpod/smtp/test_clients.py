"""What a client's address decides: DNS blocklists, and how many it may write to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.harness.zone import Zone
from tests.mailpod.smtp.server import serving
from tests.mailpod.smtp.test_senders import from_afar

from mailpod.smtp.blocklists import listed_by, reversed_name

ALICE = "<alice@example.com>"
LISTS = {"blocklists": ["good.dnsbl.test", "bad.dnsbl.test"]}
LISTED = "1.2.0.192.bad.dnsbl.test A 127.0.0.2"


def test_names() -> None:
    assert reversed_name("192.0.2.1") == "1.2.0.192"
    assert reversed_name("2001:db8::1") == "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
    assert reversed_name("") is None


@pytest.mark.parametrize(
    ("record", "listed"),
    [
        (LISTED, "bad.dnsbl.test"),
        ("1.2.0.192.bad.dnsbl.test A 127.255.255.254", None),  # a public resolver, says Spamhaus
        ("1.2.0.192.bad.dnsbl.test A 192.0.2.99", None),  # the zone was sold
        ("2.2.0.192.bad.dnsbl.test A 127.0.0.2", None),
    ],
)
async def test_lists(record: str, listed: str | None) -> None:
    assert await listed_by(Zone(record).resolver(), "192.0.2.1", ["x.test", "bad.dnsbl.test"], 5) == listed


async def test_a_list_that_fails_or_is_silent_lists_nobody() -> None:
    class Silent(Zone):
        async def ask(self, name: str, type: str) -> Any:
            if "silent" in name:
                await asyncio.sleep(3600)
            return await super().ask(name, type)

    zone = Silent(LISTED)
    zone.failing.add("1.2.0.192.broken.test")
    lists = ["silent.test", "broken.test"]
    assert await listed_by(zone.resolver(), "192.0.2.1", lists, 0.1) is None
    assert await listed_by(zone.resolver(), "192.0.2.1", [*lists, "bad.dnsbl.test"], 0.1) == "bad.dnsbl.test"


async def test_a_listed_client(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Zone(LISTED)
    async with from_afar(monkeypatch, zone, smtp=LISTS) as (_, client):
        await client.say("MAIL FROM:<>")
        for _ in range(2):
            assert await client.say(f"RCPT TO:{ALICE}") == "554 5.7.1 Client 192.0.2.1 is listed by bad.dnsbl.test"
        for role in ("postmaster", "<postmaster@example.com>", "<Abuse@example.com>"):
            assert await client.say(f"RCPT TO:{role}") == "250 2.1.5 OK"
        assert len(zone.asked) == 2  # once a list


async def test_a_client_that_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with from_afar(monkeypatch, Zone(), smtp=LISTS) as (_, client):
        await client.say("MAIL FROM:<>")
        assert await client.say(f"RCPT TO:{ALICE}") == "250 2.1.5 OK"


async def test_this_machine_is_not_looked_up() -> None:
    async with serving(smtp=LISTS) as server, server.client() as client:
        zone = Zone("1.0.0.127.bad.dnsbl.test A 127.0.0.2")
        server.services.resolver = zone.resolver()
        await client.hello()
        await client.say("MAIL FROM:<>")
        assert await client.say(f"RCPT TO:{ALICE}") == "250 2.1.5 OK"
        assert not zone.asked


async def test_recipients_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = {"max_client_recipients_per_hour": 2}
    async with from_afar(monkeypatch, Zone(), smtp=limit) as (_, client):
        await client.say("MAIL FROM:<>")
        replies = [(await client.say(f"RCPT TO:{ALICE}"))[:9] for _ in range(3)]
        assert replies == ["250 2.1.5", "250 2.1.5", "450 4.7.1"]
