"""Who sent it, at the MX port: the field that says so, Junk, and 550."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dkim
import pytest
from tests.harness import peer
from tests.harness.zone import Zone
from tests.mailpod.smtp.server import Client, Server, serving

from mailpod.authres.check import Verdict
from mailpod.authres.dmarc import Dmarc
from mailpod.authres.spf import Spf
from mailpod.dkim.sealing import Chain
from mailpod.dkim.signer import Signer
from mailpod.net.peer import Peer
from mailpod.smtp import connection
from mailpod.smtp.senders import is_verified
from mailpod.store.names import address_key
from mailpod.tlspolicy.policies import make_policies

ZONE = (
    'good.example TXT "v=spf1 ip4:192.0.2.1 -all"',
    '_dmarc.good.example TXT "v=DMARC1; p=reject"',
    'strict.example TXT "v=spf1 -all"',
    '_dmarc.strict.example TXT "v=DMARC1; p=reject"',
    'careful.example TXT "v=spf1 -all"',
    '_dmarc.careful.example TXT "v=DMARC1; p=quarantine"',
)
ALICE, BOB, DAVE, ERIN = "alice@example.com", "bob@example.com", "dave@small.example", "erin@all.example"


@asynccontextmanager
async def from_afar(
    monkeypatch: pytest.MonkeyPatch, zone: Zone | None = None, **settings: Any
) -> AsyncIterator[tuple[Server, Client]]:
    monkeypatch.setattr(connection, "peer_of", lambda _: Peer("192.0.2.1", 1, False))
    async with serving(**settings) as server, server.client() as client:
        server.services.resolver = (zone or Zone(*ZONE)).resolver()
        await client.hello()
        yield server, client


def mail(author: str, more: bytes = b"") -> bytes:
    return more + f"From: {author}\r\nSubject: x\r\n\r\nbody\r\n".encode()


async def folder(server: Server, address: str, name: str) -> int:
    entry = await server.services.directory.lookup(address)
    assert entry is not None
    account = await server.services.store.open(await server.services.directory.account(entry))
    try:
        await account.refresh()
        return len(list(account.mailbox(name).uids))
    finally:
        account.release()


async def test_authenticated(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = b"Authentication-Results: mx.example.com; dkim=pass header.d=bank.example\r\n"
    async with from_afar(monkeypatch) as (server, client):
        reply = await client.message(mail("A <a@good.example>", forged), ALICE, sender="a@good.example")
        assert reply.startswith("250")
        (stored,) = await server.inbox(ALICE)
        assert b"bank.example" not in stored
        assert (
            b"Authentication-Results: mx.example.com;\r\n\tspf=pass smtp.mailfrom=good.example;\r\n\tdkim=none;\r\n"
            b"\tdmarc=pass header.from=good.example\r\nReceived: "
        ) in stored


async def test_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with from_afar(monkeypatch) as (server, client):
        reply = await client.message(mail("a@strict.example"), ALICE, sender="a@good.example")
        assert reply == (
            "550 5.7.1 The message is not authenticated as from strict.example, whose DMARC policy refuses such"
        )
        assert await server.inbox(ALICE) == []
        assert (await client.message(mail("a@good.example"), ALICE, sender="a@good.example")).startswith("250")


@pytest.mark.parametrize(
    "content",
    [
        mail("a@careful.example"),
        mail("a@good.example", b"From: b@good.example\r\n"),
        mail("a@good.example, <<broken"),
        mail(", ".join(f"a@d{n}.example" for n in range(9))),
    ],
)
async def test_junk(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    async with from_afar(monkeypatch) as (server, client):
        assert (await client.message(content, ALICE, sender="a@good.example")).startswith("250")
        assert (await client.message(content, ALICE, BOB, sender="a@good.example")).startswith("250")
        await server.services.spool.idle()
        assert [await folder(server, ALICE, name) for name in ("INBOX", "Junk")] == [0, 2]
        assert [await folder(server, BOB, name) for name in ("INBOX", "Junk")] == [0, 1]


async def test_of_several_authors_the_strictest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with from_afar(monkeypatch) as (_, client):
        reply = await client.message(mail("a@good.example, b@strict.example"), ALICE, sender="a@good.example")
        assert reply.startswith("550 5.7.1")


async def test_a_domain_that_only_wants_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    async with from_afar(monkeypatch) as (server, client):
        for recipients in ((DAVE,), (DAVE, ALICE)):
            assert (await client.message(mail("a@strict.example"), *recipients)).startswith("250")
        await server.services.spool.idle()
        stored = await server.inbox(DAVE)
        assert len(stored) == 2 and all(b"dmarc=fail (p=reject) header.from=strict.example" in one for one in stored)


@pytest.mark.parametrize(
    ("recipients", "taken"),
    [([ALICE], False), ([ERIN], True), ([ERIN, ALICE], False), ([ERIN, "erin+x@all.example"], True)],
)
async def test_a_sealer_whom_the_recipients_domains_trust(
    monkeypatch: pytest.MonkeyPatch, signer: tuple[Signer, dict[str, str]], recipients: list[str], taken: bool
) -> None:
    sealing, records = signer
    results = b"Authentication-Results: mx.example.com; dmarc=pass header.from=strict.example\r\n"
    content = mail("a@strict.example")
    seal = await sealing.seal(content, Chain(1, "none", (), results), domain="example.com", seconds=1e9, queue_id="x")
    zone = Zone(*ZONE)
    for selector, record in records.items():
        zone.add(f'{selector}._domainkey.example.com TXT "{record[:200]}" "{record[200:]}"')
    async with from_afar(monkeypatch, zone) as (server, client):
        reply = await client.message(seal + content, *recipients, sender="a@good.example")
        assert reply.startswith("250" if taken else "550 5.7.1")
        if taken:
            await server.services.spool.idle()
            (stored,) = await server.inbox(ERIN)
            assert (
                b"dmarc=fail (p=reject arc=pass) header.from=strict.example;\r\n\tarc=pass smtp.remote-ip=192.0.2.1\r\n"
            ) in stored


async def test_a_dns_that_does_not_answer_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Zone(*ZONE)
    zone.failing |= {"strict.example", "_dmarc.strict.example"}
    async with from_afar(monkeypatch, zone) as (server, client):
        assert (await client.message(mail("a@strict.example"), ALICE, sender="a@strict.example")).startswith("250")
        (stored,) = await server.inbox(ALICE)
        assert b"spf=temperror" in stored and b"dmarc=temperror" in stored


class Silent(Zone):
    async def ask(self, name: str, type: str) -> Any:
        await asyncio.sleep(3600)


async def test_a_dns_that_is_silent_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async with from_afar(monkeypatch, Silent(), authres={"timeout": 0.1}) as (server, client):
        signed = b"DKIM-Signature: v=1; a=rsa-sha256; d=strict.example; s=s; h=from; bh=aaaa; b=aaaa\r\n"
        assert (await client.message(mail("a@strict.example", signed), ALICE)).startswith("250")
        (stored,) = await server.inbox(ALICE)
        assert stored.count(b"=temperror") == 3


class Selective(Zone):
    """One that is silent about what is below slow.example."""

    async def ask(self, name: str, type: str) -> Any:
        if name.endswith("slow.example"):
            await asyncio.sleep(3600)
        return await super().ask(name, type)


async def test_a_slow_dns_of_the_senders_does_not_spare_it_the_authors_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with from_afar(monkeypatch, Selective(*ZONE), authres={"timeout": 0.3}) as (server, client):
        signed = b"DKIM-Signature: v=1; a=rsa-sha256; d=slow.example; s=s; h=from; bh=aaaa; b=aaaa\r\n"
        reply = await client.message(mail("a@strict.example", signed), ALICE, sender="a@slow.example")
        assert reply.startswith("550 5.7.1")
        assert await server.inbox(ALICE) == []


async def test_checks_off_and_clients_that_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in ({"enabled": False}, {"unchecked_networks": ["192.0.2.0/24"]}):
        async with from_afar(monkeypatch, authres=settings) as (server, client):
            assert (await client.message(mail("a@strict.example"), ALICE)).startswith("250")
            (stored,) = await server.inbox(ALICE)
            assert b"Authentication-Results" not in stored


@pytest.mark.parametrize(("sender", "told"), [("a@Good.example", True), ("a@open.example", False), ("", False)])
async def test_who_hears_of_a_mailbox_that_vanished(
    monkeypatch: pytest.MonkeyPatch, signer: tuple[Signer, dict[str, str]], sender: str, told: bool
) -> None:
    zone = Zone(*ZONE, "good.example MX 10 mx.good.example", "mx.good.example A 127.0.0.1")
    async with (
        peer.running(peer.Peer()) as theirs,
        from_afar(monkeypatch, zone, outbound={"port": theirs.port}) as (server, client),
    ):
        services = server.services
        services.signer, records = signer
        services.tls_policies = make_policies(services.settings.tls_policy, services.resolver, services.clock)
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{ALICE}>", f"RCPT TO:<{BOB}>"):
            assert (await client.say(line)).startswith("250 ")
        await server.bucket.delete([address_key("example.com", "bob")])
        await client.say("DATA")
        client.send(mail("a@open.example") + b".\r\n")
        assert (await client.reply()).startswith("250 ")
        await services.spool.idle()
        assert len(await server.inbox(ALICE)) == 1
        assert await server.bucket.list("outbound/") == []
    if not told:
        assert theirs.messages == []
        return
    (notice,) = theirs.messages
    assert notice.mail.startswith("MAIL FROM:<>") and notice.recipients == ["a@good.example"]
    assert b"From: Mail Delivery System <postmaster@example.com>\r\n" in notice.data
    assert b"\r\nFinal-Recipient: rfc822; bob@example.com\r\n" in notice.data and b"Status: 5.1.1" in notice.data

    def record(name: bytes, timeout: int = 5) -> str | None:
        return records.get(name.decode().removesuffix("._domainkey.example.com."))

    assert dkim.verify(notice.data, dnsfunc=record)


@pytest.mark.parametrize(
    ("sender", "spf", "dmarc", "verified"),
    [
        ("a@one.example", "pass", [], True),
        ("a@One.example", "softfail", [Dmarc("pass", "one.example")], True),
        ("a@one.example", "fail", [Dmarc("fail", "two.example"), Dmarc("pass", "one.example")], True),
        ("a@one.example", "none", [Dmarc("pass", "two.example")], False),
        ("a@one.example", "temperror", [Dmarc("none", "one.example")], False),
        ("a@[192.0.2.1]", "pass", [], False),
        ("", "pass", [], False),  # which is HELO's
    ],
)
def test_verified(sender: str, spf: Any, dmarc: list[Dmarc], verified: bool) -> None:
    assert is_verified(sender, Verdict(b"", "none", Spf(spf, "one.example"), (), tuple(dmarc))) is verified
