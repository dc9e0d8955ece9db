"""MOVE and UID MOVE: RFC 6851."""

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


async def test_move_answers_copyuid_then_expunges(at: Desk) -> None:
    ann, bob, archive = at.select(), at.select(), at.account.mailbox("Archive")
    head = at.account.head
    assert await ann.say("MOVE 2:3 Archive") == (
        b"* OK [COPYUID %d 2:3 1:2] Moved\r\n* 2 EXPUNGE\r\n* 2 EXPUNGE\r\nOK Done\r\n" % archive.uidvalidity
    ), "RFC 6851 §4.3"
    assert at.account.head == head + 1, "one commit: never in both, never in none"
    assert await ann.say("UID MOVE 4 Archive") == (
        b"* OK [COPYUID %d 4 3] Moved\r\n* 2 EXPUNGE\r\nOK Done\r\n" % archive.uidvalidity
    )
    assert await bob.say("NOOP") == b"* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n* 2 EXPUNGE\r\nOK NOOP completed\r\n"
    assert list(ann.view.mailbox.uids) == [1]


async def test_a_missing_target(at: Desk) -> None:
    ann = at.select()
    for command in ("MOVE 1", "UID MOVE 1"):
        assert (await ann.say(f"{command} Nowhere")).startswith(b"NO [TRYCREATE] ")
    assert ann.view.mailbox.exists == 4


async def test_nothing_to_do(at: Desk) -> None:
    assert (await at.select().say("UID MOVE 9 Archive")).startswith(b"OK No")


async def test_into_the_same_mailbox(at: Desk) -> None:
    answer = await at.select().say("MOVE 1 INBOX")
    assert b"* 1 EXPUNGE\r\n* 4 EXISTS\r\n" in answer


async def test_examine_may_not_move(at: Desk) -> None:
    assert (await at.select(read_only=True).say("MOVE 1 Archive")).startswith(b"NO [CANNOT] ")


async def test_all_or_nothing_when_a_message_is_gone(at: Desk) -> None:
    ann = at.select()
    await at.account.expunge(ann.view.mailbox, [2])
    assert b"NO [EXPUNGEISSUED] " in await ann.say("MOVE 1:3 Archive")
    assert at.account.mailbox("Archive").exists == 0


async def test_a_move_takes_no_room(at: Desk) -> None:
    assert b"OK Done" in await at.select(messages=4).say("MOVE 1:4 Archive")
