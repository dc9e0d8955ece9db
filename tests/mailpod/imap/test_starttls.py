"""STARTTLS: RFC 3501 §6.2.1."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import MakeWorld, World

from mailpod.config import CertificateFiles


async def test_upgrade(make: MakeWorld, certificate: CertificateFiles) -> None:
    client = await (await make(certificate)).connect()
    assert await client.ask(b"STARTTLS") == [b"a OK Begin TLS negotiation now"]
    await client.start_tls()
    await client.ok(b"LOGIN ann@example.org secret")
    await client.ok(b"SELECT INBOX")
    assert await client.refused(b"STARTTLS") == b"a BAD STARTTLS is not allowed in the selected state"


async def test_what_was_pipelined_in_the_clear_is_dropped(make: MakeWorld, certificate: CertificateFiles) -> None:
    client = await (await make(certificate)).connect()
    await client.send(b"a STARTTLS\r\nevil LOGIN ann@example.org secret\r\n")
    assert (await client.line()).startswith(b"a OK")
    await client.start_tls()
    assert await client.ask(b"NOOP") == [b"a OK NOOP completed"]
    assert await client.refused(b"SELECT INBOX") == b"a BAD SELECT is not allowed in the not authenticated state"


async def test_not_twice_and_not_without_a_certificate(
    world: World, make: MakeWorld, certificate: CertificateFiles
) -> None:
    plain = await world.connect()
    assert await plain.refused(b"STARTTLS") == b"a BAD TLS is not available"
    client = await (await make(certificate)).connect()
    await client.ok(b"STARTTLS")
    await client.start_tls()
    assert await client.refused(b"STARTTLS") == b"a BAD TLS is active already"
