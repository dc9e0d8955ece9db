"""COPY and UID COPY: RFC 3501 §6.4.7, RFC 4315 §3."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(letter("a"), letter("b"), flags=("\\Seen", "work"), date=1_000_000_000)
        await found.deliver(letter("c"), letter("d"))
        found.account.mailbox("INBOX").claim_recent()
        yield found


async def test_copy_gives_copyuid_and_keeps_flags_and_date(at: Desk) -> None:
    ann, archive = at.select(), at.account.mailbox("Archive")
    assert await ann.say("COPY 1:2,4 Archive") == (b"OK [COPYUID %d 1:2,4 1:3] Copied\r\n" % archive.uidvalidity)
    assert await ann.say("UID COPY 3:9 Archive") == b"OK [COPYUID %d 3:4 4:5] Copied\r\n" % archive.uidvalidity
    answer = await at.select("Archive").say("FETCH 1:3 (FLAGS INTERNALDATE)")
    assert b'* 2 FETCH (FLAGS (\\Recent \\Seen work) INTERNALDATE " 9-Sep-2001 01:46:40 +0000")' in answer
    assert b"* 3 FETCH (FLAGS (\\Recent) INTERNALDATE" in answer
    assert await ann.say("NOOP") == b"OK NOOP completed\r\n", "the source is as it was"


async def test_copy_into_the_selected_mailbox(at: Desk) -> None:
    answer = await at.select().say("COPY 1 INBOX")
    assert b"* 5 EXISTS\r\n* 1 RECENT\r\n" in answer


async def test_a_missing_target(at: Desk) -> None:
    ann = at.select()
    for command in ("COPY 1", "UID COPY 1"):
        assert (await ann.say(f"{command} Nowhere")).startswith(b"NO [TRYCREATE] ")


async def test_nothing_to_do(at: Desk) -> None:
    ann = at.select()
    assert (await ann.say("UID COPY 9 Archive")).startswith(b"OK No")
    assert (await ann.say("COPY 5 Archive")).startswith(b"BAD ")


async def test_examine_may_copy(at: Desk) -> None:
    assert (await at.select(read_only=True).say("COPY 1 Archive")).startswith(b"OK [COPYUID ")


async def test_all_or_nothing_when_a_message_is_gone(at: Desk) -> None:
    ann = at.select()
    await at.account.expunge(ann.view.mailbox, [2])
    assert b"NO [EXPUNGEISSUED] " in await ann.say("COPY 1:3 Archive")
    assert at.account.mailbox("Archive").exists == 0
    assert b"COPYUID" in await at.select().say("UID COPY 1:3 Archive"), "RFC 3501 §6.4.8: unknown UIDs are no error"
    assert at.account.mailbox("Archive").exists == 2


async def test_quota(at: Desk) -> None:
    ann = at.select(messages=5)
    assert (await ann.say("COPY 1:2 Archive")).startswith(b"NO [OVERQUOTA] ")
    assert (await ann.say("COPY 1 Archive")).startswith(b"OK ")
