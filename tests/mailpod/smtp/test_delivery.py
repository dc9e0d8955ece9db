"""Mail that comes in at the MX port, as a client sees it and as the mailbox has it."""

from __future__ import annotations

from tests.mailpod.smtp.server import serving

MAIL = b"From: a@far.example\r\nSubject: hello\r\n\r\nbody\r\n"


async def test_one_recipient() -> None:
    async with serving() as server, server.client() as client:
        assert await client.reply() == "220 mx.example.com ESMTP Mailpod"
        assert await client.say("EHLO client.example") == "\n".join(
            [
                "250-mx.example.com",
                "PIPELINING",
                "SIZE 52428800",
                "8BITMIME",
                "SMTPUTF8",
                "ENHANCEDSTATUSCODES",
                "CHUNKING",
                "BINARYMIME",
                "HELP",
            ]
        )
        assert await client.say("MAIL FROM:<Sender@Far.example>") == "250 2.1.0 OK"
        assert await client.say("RCPT TO:<Alice@EXAMPLE.com>") == "250 2.1.5 OK"
        assert await client.say("DATA") == "354 End data with <CR><LF>.<CR><LF>"
        assert (await client.say(MAIL + b".")).startswith("250 2.0.0 OK, queued as ")
        assert await client.say("QUIT") == "221 2.0.0 Bye"
        assert await client.closed()
        (stored,) = await server.inbox("alice@example.com")
        head, _, _ = stored.partition(b"From: a@far")
        lines = head.decode().split("\r\n")
        assert lines[0] == "Return-Path: <Sender@Far.example>"
        assert lines[1] == "Delivered-To: alice@example.com"
        assert lines[2] == "Received: from client.example ([127.0.0.1])"
        assert lines[3] == "\tby mx.example.com with ESMTP"
        assert lines[4].endswith(" for <alice@example.com>;")
        assert stored.endswith(MAIL)


async def test_several_mailboxes_get_one_copy_each() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        sent = await client.message(MAIL, "alice@example.com", "info@example.com", "bob@example.com", "bob@example.com")
        assert sent.startswith("250 ")
        await server.services.spool.idle()
        for address in ("alice@example.com", "bob@example.com"):
            (stored,) = await server.inbox(address)
            assert stored.startswith(f"Return-Path: <sender@far.example>\r\nDelivered-To: {address}\r\n".encode())
            assert b" for <" not in stored
        assert await server.bucket.list("outbound/") == []
        assert server.services.budget.used == 0
