"""Forwarding to other domains: what leaves and as what, what stays, and notices on their way back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import dkim
import pytest
from tests.harness.peer import Peer, running
from tests.harness.zone import Zone
from tests.mailpod.smtp import server as support
from tests.mailpod.smtp.server import ENTRIES, PASSWORD, Client, Server, domain, mailbox, plain, serving
from tests.mailpod.smtp.test_senders import ZONE, folder, from_afar, mail

from mailpod.dkim.signer import Signer
from mailpod.forwarding import srs
from mailpod.tlspolicy.policies import make_policies

Keys = tuple[Signer, dict[str, str]]
World = Callable[..., AbstractAsyncContextManager[tuple[Server, Client, Peer]]]
ELSEWHERE = (
    *(f"{name} MX 10 mx.far.example" for name in ("far.example", "good.example", "open.example")),
    "mx.far.example A 127.0.0.1",
)
OUT, BOTH, HOME = "out@example.com", "both@example.com", "me@far.example"  # the first keeps no copy


def publish(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """What the directory has: example.com with these fields, beside the others."""
    kept = [entry for entry in ENTRIES if getattr(entry, "name", "") != "example.com"]
    more = [domain("example.com", **{"forwarding": "any", **fields}), mailbox(BOTH, forward_to=(HOME,))]
    monkeypatch.setattr(support, "ENTRIES", [*kept, *more])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, signer: Keys) -> World:
    """Ours, a client from afar, and the server of everybody else."""

    @asynccontextmanager
    async def made(**fields: Any) -> AsyncIterator[tuple[Server, Client, Peer]]:
        publish(monkeypatch, **fields)
        async with (
            running(Peer()) as peer,
            from_afar(monkeypatch, Zone(*ZONE, *ELSEWHERE), outbound={"port": peer.port}) as (server, client),
        ):
            prepare(server, signer)
            yield server, client, peer

    return made


def prepare(server: Server, signer: Keys) -> None:
    services = server.services
    services.signer = signer[0]
    services.tls_policies = make_policies(services.settings.tls_policy, services.resolver, services.clock)


async def sent(
    client: Client, server: Server, content: bytes, *recipients: str, sender: str = "a@good.example"
) -> None:
    reply = await client.message(content, *recipients, sender=sender)
    assert reply.startswith("250"), reply
    await server.services.spool.idle()


def reverse_path(command: str) -> str:
    match = re.match(r"MAIL FROM:<([^>]*)>", command)
    assert match
    return match[1]


async def test_sealed_and_under_a_sender_of_ours(world: World, signer: Keys) -> None:
    async with world() as (server, client, peer):
        await sent(client, server, mail("a@good.example"), OUT, BOTH)
        assert [len(await server.inbox(address)) for address in (OUT, BOTH)] == [0, 1]
        (taken,) = peer.messages
    assert re.fullmatch(r"SRS0=[a-z2-7]{8}=[a-z2-7]{2}=good\.example=a@example\.com", reverse_path(taken.mail))
    assert taken.rcpts == (f"RCPT TO:<{HOME}> ORCPT=rfc822;{OUT}",)
    assert taken.data.startswith(f"Delivered-To: {OUT}\r\nARC-Seal: i=1; a=rsa-sha256; cv=none;".encode())
    assert b"ARC-Authentication-Results: i=1; mx.example.com;\r\n\tspf=pass smtp.mailfrom=good.example;" in taken.data

    def record(name: bytes, timeout: int = 5) -> str | None:
        return signer[1].get(name.decode().removesuffix("._domainkey.example.com."))

    assert dkim.arc_verify(taken.data, dnsfunc=record)[0] == dkim.CV_Pass


async def test_a_policy_that_lists_domains(world: World) -> None:
    for listed, count in ((("far.example",), 1), (("other.example",), 0)):
        async with world(forwarding="listed", forwarding_domains=listed) as (server, client, peer):
            await sent(client, server, mail("a@good.example"), OUT)
            assert (len(peer.messages), len(await server.inbox(OUT))) == (count, 1 - count)


async def test_a_notice_stays_one(world: World) -> None:
    async with world() as (server, client, peer):
        await sent(client, server, mail("a@open.example"), OUT, sender="")
        assert reverse_path(peer.messages[0].mail) == ""


@pytest.mark.parametrize(
    ("content", "kept_in"),
    [
        (mail("a@careful.example"), "Junk"),
        (mail("a@good.example", f"Delivered-To: {OUT}\r\n".encode()), "INBOX"),
        (mail("ceo@example.com"), "INBOX"),  # SPF of the new reverse-path would speak for it
        (mail("ceo@sub.example.com"), "INBOX"),
    ],
)
async def test_what_stays(world: World, content: bytes, kept_in: str) -> None:
    async with world() as (server, client, peer):
        server.services.resolver = Zone(*ZONE, *ELSEWHERE, '_dmarc.example.com TXT "v=DMARC1; p=none"').resolver()
        await sent(client, server, content, OUT)
        assert peer.messages == [] and await folder(server, OUT, kept_in) == 1
        await sent(client, server, content, OUT, BOTH)
        assert peer.messages == []
        assert [await folder(server, address, kept_in) for address in (OUT, BOTH)] == [2, 1]


@pytest.mark.parametrize(
    ("author", "kept"), [("ceo@example.com", True), ("ceo@good.example", False), ("a@x.example, <<broken", True)]
)
async def test_where_nothing_is_checked_forged_mail_of_our_own_stays_all_the_same(
    monkeypatch: pytest.MonkeyPatch, signer: Keys, author: str, kept: bool
) -> None:
    publish(monkeypatch)
    async with running(Peer()) as peer:
        options = {"outbound": {"port": peer.port}, "authres": {"enabled": False}}
        async with from_afar(monkeypatch, Zone(*ZONE, *ELSEWHERE), **options) as (server, client):
            prepare(server, signer)
            await sent(client, server, mail(author), OUT)
            assert (len(peer.messages), len(await server.inbox(OUT))) == (not kept, kept)
            for taken in peer.messages:
                assert b"ARC-" not in taken.data and reverse_path(taken.mail).endswith("==@example.com")


async def test_groups_and_what_is_nobody_elses_go_on_too(world: World) -> None:
    async with world(groups={"crew": (OUT, BOTH, "alice@example.com")}, catch_all=OUT) as (server, client, peer):
        for name in ("crew", "whoever"):
            await sent(client, server, mail("a@good.example"), f"{name}@example.com")
            (taken,) = peer.messages
            peer.messages.clear()
            assert taken.recipients == [HOME] and b"\r\nARC-Seal: i=1;" in taken.data
        assert [len(await server.inbox(one)) for one in (OUT, BOTH, "alice@example.com")] == [0, 1, 1]


async def test_what_dmarc_refuses_stays_where_that_is_only_marked(world: World) -> None:
    async with world(sender_policies="report") as (server, client, peer):
        await sent(client, server, mail("a@strict.example"), OUT)
        assert peer.messages == [] and len(await server.inbox(OUT)) == 1


async def test_without_keys_nothing_leaves(world: World) -> None:
    async with world() as (server, client, peer):
        server.services.signer = Signer()
        await sent(client, server, mail("a@good.example"), OUT)
        assert peer.messages == [] and len(await server.inbox(OUT)) == 1


async def test_a_notice_finds_its_way_back(world: World) -> None:
    async with world() as (server, client, peer):
        await sent(client, server, mail("a@good.example"), OUT)
        address = reverse_path(peer.messages.pop().mail)
        for written in (address, address.lower(), address.upper()):
            assert (await client.message(mail("x@open.example"), written, sender="")).startswith("250")
            await server.services.spool.idle()
            taken = peer.messages.pop()
            assert reverse_path(taken.mail) == ""
            assert [one.lower() for one in taken.recipients] == ["a@good.example"]


async def test_what_does_not_go_back(world: World) -> None:
    refused = "550 5.1.1 Nothing is returned to this address (any more)"
    async with world(catch_all="alice@example.com") as (server, client, peer):
        await sent(client, server, mail("a@good.example"), OUT)
        await sent(client, server, mail("a@open.example"), OUT, sender="forged@open.example")
        good, closed = (reverse_path(taken.mail) for taken in peer.messages)
        key, now = server.services.signer.keys.secrets("example.com")[0], server.services.clock.now()
        old = srs.rewritten("a@good.example", "example.com", key, now - 16 * 86_400)
        await client.say("MAIL FROM:<>")
        for address in (
            closed,
            old,
            good.replace("good", "open"),
            "srs0=x=y=z=q@example.com",
            good.replace("SRS0", "SRS1"),
        ):
            assert await client.say(f"RCPT TO:<{address}>") == refused
        await client.say("RSET")
        await client.say("MAIL FROM:<a@good.example>")
        assert (await client.say(f"RCPT TO:<{good}>")).startswith("550 5.7.1 Only notices")


async def test_a_notice_that_is_junk_goes_nowhere(world: World) -> None:
    async with world() as (server, client, peer):
        await sent(client, server, mail("a@good.example"), OUT)
        address = reverse_path(peer.messages.pop().mail)
        assert (await client.message(mail("a@careful.example"), address, sender="")).startswith("550 5.1.1")
        await server.services.spool.idle()
        assert peer.messages == []


async def test_back_to_a_sender_of_ours(world: World) -> None:
    async with world() as (server, client, _):
        key, now = server.services.signer.keys.secrets("example.com")[0], server.services.clock.now()
        address = srs.rewritten("bob@example.com", "example.com", key, now)
        await sent(client, server, mail("x@open.example"), address, sender="")
        assert len(await server.inbox("bob@example.com")) == 1


@pytest.mark.parametrize(("sender", "told"), [("a@good.example", True), ("a@open.example", False)])
async def test_who_is_told_that_a_forward_failed(world: World, sender: str, told: bool) -> None:
    async with world() as (server, client, peer):
        peer.say(f"RCPT TO:<{HOME}>", "550 5.1.1 no such user")
        await sent(client, server, mail("a@open.example"), OUT, sender=sender)
        assert [taken.recipients for taken in peer.messages] == [[sender]] * told
        for notice in peer.messages:
            assert reverse_path(notice.mail) == ""
            assert b"From: Mail Delivery System <postmaster@example.com>\r\n" in notice.data
            assert f"\r\nOriginal-Recipient: rfc822; {OUT}\r\n".encode() in notice.data
            assert f"\r\n{OUT}\r\n    There is no such address".encode() in notice.data, notice.data


async def test_what_users_send_goes_on_as_theirs(monkeypatch: pytest.MonkeyPatch, signer: Keys) -> None:
    publish(monkeypatch)
    async with (
        running(Peer()) as peer,
        serving("submission", outbound={"port": peer.port}) as server,
        server.client() as client,
    ):
        server.services.resolver = Zone(*ELSEWHERE).resolver()
        prepare(server, signer)
        await client.hello()
        assert (await client.say(f"AUTH PLAIN {plain('alice@example.com', PASSWORD)}"))[:3] == "235"
        await sent(client, server, mail("alice@example.com"), OUT, sender="alice@example.com")
        (taken,) = peer.messages
        assert reverse_path(taken.mail) == "alice@example.com" and taken.recipients == [HOME]
        assert taken.data.startswith(f"Delivered-To: {OUT}\r\nDKIM-Signature: ".encode())


async def test_what_is_handed_over_goes_on_too(monkeypatch: pytest.MonkeyPatch, signer: Keys) -> None:
    publish(monkeypatch)
    async with running(Peer()) as peer:
        options: dict[str, Any] = {"outbound": {"port": peer.port}, "lmtp": {"networks": ["127.0.0.0/8"]}}
        async with serving("lmtp", **options) as server, server.client() as client:
            server.services.resolver = Zone(*ELSEWHERE).resolver()
            prepare(server, signer)
            await client.reply()
            await client.say("LHLO relay.example")
            for line in ("MAIL FROM:<a@good.example>", f"RCPT TO:<{OUT}>", f"RCPT TO:<{BOTH}>", "DATA"):
                assert (await client.say(line))[0] in "23"
            client.send(mail("a@good.example") + b".\r\n")
            assert [(await client.reply())[:3] for _ in range(2)] == ["250", "250"]
            await server.services.spool.idle()
            assert [taken.recipients for taken in peer.messages] == [[HOME]]
            assert [len(await server.inbox(address)) for address in (OUT, BOTH)] == [0, 1]
