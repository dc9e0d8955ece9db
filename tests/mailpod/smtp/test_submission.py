"""What a submission server owes: users send as themselves, Bcc goes, and what leaves is whole and signed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.smtp.server import PASSWORD, Client, Server, plain, serving

from mailpod.dkim.signer import Signer
from mailpod.mime.mailboxes import addresses_in
from mailpod.net.rates import Rates
from mailpod.smtp.submitted import without_bcc

ALICE, BOB = "alice@example.com", "bob@example.com"
LETTER = b"From: alice@example.com\r\nSubject: x\r\n\r\nbody\r\n"


@asynccontextmanager
async def submitting(**settings: Any) -> AsyncIterator[tuple[Server, Client]]:
    """Alice, logged in."""
    async with serving("submission", **settings) as server, server.client() as client:
        await client.hello()
        await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")
        yield server, client


@pytest.mark.parametrize(
    "address",
    [
        "",
        ALICE,
        "ALICE+shop@Example.COM",
        '"alice"@example.com',
        "info@example.com",
        "info+x@example.com",
        "postmaster@example.com",
        "alice@alias.example",
        "alice+tag@alias.example",
    ],
)
async def test_a_user_sends_as_each_of_their_addresses(address: str) -> None:
    async with submitting() as (server, client):
        letter = b"From: %b\r\n\r\nbody\r\n" % (address.encode() or ALICE.encode())
        assert (await client.message(letter, BOB, sender=address)).startswith("250 ")
        (stored,) = await server.inbox(BOB)
        assert stored.startswith(f"Return-Path: <{address}>\r\n".encode())


@pytest.mark.parametrize(
    "address", [BOB, "team@example.com", "nobody@example.com", "alice@far.example", "a b@c", "bob+a@example.com"]
)
async def test_and_as_nobody_else(address: str) -> None:
    async with submitting() as (_, client):
        refused = f"553 5.7.1 You may not send as {address}: it is not an address of yours"
        if " " not in address:
            assert await client.say(f"MAIL FROM:<{address}>") == refused
        for field in ("From: {}", "From: alice@example.com\r\nSender: <{}>", "From: Alice <alice@example.com>, {}"):
            reply = await client.message(f"{field.format(address)}\r\n\r\nx\r\n".encode(), BOB, sender=ALICE)
            assert reply == refused or (" " in address and reply.startswith("550 5.6.0 ")), reply


@pytest.mark.parametrize(
    ("header", "reply"),
    [
        ("From: alice@example.com\r\nFrom: alice@example.com", "550 5.6.0 From is there 2 times"),
        ("From: Alice", "550 5.6.0 From is no list of addresses: not an address"),
        ("From:", "550 5.6.0 From is no list of addresses: not an address"),
        (
            "From: alice@example.com\r\nSender: us: alice@example.com;",
            "550 5.6.0 Sender is no list of addresses: a character that does not belong there",
        ),
        (
            "From: bob@example.com <alice@example.com>",
            "553 5.7.1 You may not send as bob@example.com: it is not an address of yours",
        ),
        ("From: alice@example.com (bob@example.com)", "250 2.0.0 OK"),
        ('From: "bob@example.com" <alice@example.com>', "250 2.0.0 OK"),
        ("from : =?utf-8?q?Bob?=\r\n <alice@example.com>", "250 2.0.0 OK"),
        ("X-From: bob@example.com\r\nFrom: alice@example.com", "250 2.0.0 OK"),
    ],
)
async def test_from_and_sender(header: str, reply: str) -> None:
    async with submitting() as (_, client):
        answer = await client.message(header.encode() + b"\r\n\r\nx\r\n", BOB, sender=ALICE)
        assert answer.startswith(reply), answer


async def test_what_cannot_be_judged_is_not_let_pass() -> None:
    async with submitting() as (server, client):
        server.bucket.down = True
        assert (await client.say("MAIL FROM:<new@example.com>")).startswith("451 4.3.0 ")
        server.bucket.down = False
        assert (await client.message(LETTER, BOB, sender=ALICE)).startswith("250 ")


async def test_another_server_may_say_what_it_likes_on_the_mx_port() -> None:
    async with serving("mx") as server, server.client() as client:
        await client.hello()
        bcc = b"From: alice@example.com\r\nBcc: x@y\r\n\r\nx\r\n"
        assert (await client.message(bcc, BOB, sender="bob@example.com")).startswith("250 ")
        (stored,) = await server.inbox(BOB)
        assert stored.endswith(bcc)


async def test_missing_fields_are_added() -> None:
    async with submitting() as (server, client):
        await client.message(b"\r\nbody\r\n", BOB, sender="alice+x@example.com")
        (stored,) = await server.inbox(BOB)
        assert b"\r\nDate: " in stored and b"\r\nMessage-ID: <" in stored
        assert stored.endswith(b"\r\nFrom: <alice+x@example.com>\r\n\r\nbody\r\n")


async def test_bcc_goes_and_nothing_else() -> None:
    async with submitting() as (server, client):
        letter = (
            b"bcc: carol@example.com,\r\n\tdave@far.example\r\nFrom: alice@example.com\r\nX-Bcc: kept\r\n folded\r\n"
            b"BCC :\r\n one@far.example\r\nResent-Bcc: two@far.example\r\nSubject: bcc: me\r\n\r\nBcc: body\r\n"
        )
        assert (await client.message(letter, BOB, "carol@example.com", sender=ALICE)).startswith("250 ")
        await server.services.spool.idle()
        for address in (BOB, "carol@example.com"):
            (stored,) = await server.inbox(address)
            assert stored.endswith(
                b"From: alice@example.com\r\nX-Bcc: kept\r\n folded\r\nSubject: bcc: me\r\n\r\nBcc: body\r\n"
            )
            assert b"dave@far" not in stored and b"one@far" not in stored and b"two@far" not in stored


@given(
    st.lists(st.sampled_from([b"Bcc: a", b"To: b", b" fold", b"bcc:", b"X: bcc", b"\tbcc: c", b"BCC\t: d"]), max_size=8)
)
def test_any_header_keeps_the_rest(lines: list[bytes]) -> None:
    kept, dropping = [], False
    for number, line in enumerate(lines):
        starts = line[:1] not in (b" ", b"\t")
        dropping = line.lower().startswith((b"bcc:", b"bcc\t:")) if starts else dropping and number > 0
        if not dropping:
            kept.append(line)
    body = b"\r\n\r\nBcc: stays\r\n"
    message = b"\r\n".join([*lines, b"Last: x"]) + body
    assert without_bcc(message) == b"\r\n".join([*kept, b"Last: x"]) + body


@pytest.mark.parametrize("domain", ["example.com", "alias.example"])
async def test_what_a_user_sends_is_signed(signer: tuple[Signer, dict[str, str]], domain: str) -> None:
    async with submitting() as (server, client):
        server.services.signer, records = signer
        letter = b"Bcc: x@y.example\r\nFrom: alice@%b\r\nSubject: x\r\n\r\nbody\r\n" % domain.encode()
        assert (await client.message(letter, BOB, sender=f"alice@{domain}")).startswith("250 ")
        (stored,) = await server.inbox(BOB)
        assert stored.count(b"\r\nDKIM-Signature: ") == 2

        def record(name: bytes, timeout: int = 5) -> str | None:
            selector, _, owner = name.decode().rstrip(".").partition("._domainkey.")
            return records[selector] if owner == domain else None

        assert dkim.verify(stored, dnsfunc=record)


async def test_a_loop() -> None:
    async with submitting() as (_, client):
        hops = b"Received: x\r\n" * 50
        reply = await client.message(hops + LETTER, BOB, sender=ALICE)
        assert reply == "554 5.4.6 Too many Received fields, this is a loop"


async def test_too_many_recipients_within_the_hour() -> None:
    async with submitting(smtp={"max_recipients_per_hour": 3}) as (_, client):
        await client.say(f"MAIL FROM:<{ALICE}>")
        for _ in range(3):
            assert await client.say(f"RCPT TO:<{BOB}>") == "250 2.1.5 OK"
        refused = "450 4.7.1 You have written to too many recipients within the hour, try again later"
        assert await client.say(f"RCPT TO:<{BOB}>") == refused


def test_rates_fill_again() -> None:
    rates = Rates(60)
    assert sum(rates.take("a", 0.0) for _ in range(100)) == 60
    assert rates.take("b", 0.0)
    assert not rates.take("a", 59.0)
    assert rates.take("a", 61.0)
    assert sum(rates.take("a", 1e6) for _ in range(100)) == 60


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (b" alice@example.com ", ["alice@example.com"]),
        (b"A (c (d) e) <a@b.example> (f), b@[192.0.2.1]", ["a@b.example", "b@[192.0.2.1]"]),
        (b'"a, b" <"x y"@c.example>,\r\n d@e', ['"x y"@c.example', "d@e"]),
        ("J\u00f6rg <j\u00f6rg@b.example>".encode(), ["j\u00f6rg@b.example"]),
        (b"a@b <c@d>", ["a@b", "c@d"]),
    ],
)
def test_addresses_in(value: bytes, addresses: list[str]) -> None:
    assert addresses_in(value) == addresses


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b",",
        b"a@b,",
        b"a",
        b"<>",
        b"<a@b",
        b"a@b>",
        b"<a@b> c",
        b"<a@b> <c@d>",
        b"a b@c",
        b"a . b@c",
        b"a@b@c",
        b"@a:b@c",
        b"g: a@b;",
        b'"a@b',
        b"<@a,@b:c@d>",
        b"\xff@b",
        b"a\\b@c",
        b"a@",
        b"@b",
        b"a@b (x"[:4] + b" c",
    ],
)
def test_addresses_in_refuses(value: bytes) -> None:
    with pytest.raises(ValueError):
        addresses_in(value)


@given(st.binary(max_size=60) | st.text(alphabet='ab@<>,:;"\\ ()[].', max_size=40).map(str.encode))
def test_any_value_is_a_list_or_an_error(value: bytes) -> None:
    try:
        found = addresses_in(value)
    except ValueError:
        return
    assert found and all("@" in address for address in found)
