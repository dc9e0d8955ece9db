"""APPEND: RFC 3501 §6.3.11, RFC 4315 §3."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        yield found


async def test_flags_date_and_appenduid(at: Desk) -> None:
    ann, drafts = at.select("Drafts"), at.account.mailbox("Drafts")
    answer = await ann.say('APPEND Drafts (\\Draft $Odd) "07-Feb-1994 21:52:25 -0800"', letter())
    assert answer == (
        b"* 1 EXISTS\r\n* 1 RECENT\r\n* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Odd)\r\n"
        b"OK [APPENDUID %d 1] Stored\r\n" % drafts.uidvalidity
    )
    answer = await ann.say("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])")
    assert b'FLAGS (\\Draft $Odd \\Recent) INTERNALDATE " 8-Feb-1994 05:52:25 +0000"' in answer
    assert letter() in answer


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"no header at all",
        b"Subject: bare\nlines\n\nonly LF\n",
        b"A: b\r\n\r\n" + bytes(range(1, 256)),
        b"\r\n\r\n",
        b"Subject: no end",
        "Subject: größer\r\n\r\nž".encode(),
    ],
)
async def test_stored_octet_for_octet(at: Desk, data: bytes) -> None:
    ann = at.select()
    assert b"APPENDUID" in await ann.say("APPEND INBOX", data)
    assert b"BODY[] {%d}\r\n%b)" % (len(data), data) in await ann.say("FETCH 1 BODY.PEEK[]")
    assert b"RFC822.SIZE %d)" % len(data) in await ann.say("FETCH 1 RFC822.SIZE")


async def test_refusals(at: Desk) -> None:
    ann = at.select(bytes=150)
    assert (await ann.say("APPEND Nowhere", letter())).startswith(b"NO [TRYCREATE] ")
    assert b"OK [APPENDUID" in await ann.say("APPEND inbox", letter())
    assert (await ann.say("APPEND INBOX", letter())).startswith(b"NO [OVERQUOTA] ")
    assert ann.view.mailbox.exists == 1
