"""EXPUNGE and UID EXPUNGE: RFC 3501 §6.4.3, §7.4.1, RFC 4315 §2.1."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter

from mailpod.imap.commands.expunge import deleted


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(letter("a"), letter("b"))
        await found.deliver(letter("c"), letter("d"), letter("e"), flags=("\\Deleted",))
        found.account.mailbox("INBOX").claim_recent()
        yield found


async def test_expunge(at: Desk) -> None:
    ann, bob = at.select(), at.select()
    assert deleted(ann.view.mailbox) == [3, 4, 5]
    gone = b"* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n"
    assert await ann.say("EXPUNGE") == gone + b"OK EXPUNGE completed\r\n"
    assert await ann.say("EXPUNGE") == b"OK EXPUNGE completed\r\n"
    assert await bob.say("FETCH 3 FLAGS") == b"* 3 FETCH (FLAGS (\\Deleted))\r\nOK FETCH completed\r\n", (
        "not during FETCH"
    )
    assert await bob.say("NOOP") == gone + b"OK NOOP completed\r\n"


async def test_uid_expunge_takes_only_its_own(at: Desk) -> None:
    ann = at.select()
    assert await ann.say("UID EXPUNGE 1,4:9") == b"* 4 EXPUNGE\r\n* 4 EXPUNGE\r\nOK UID EXPUNGE completed\r\n"
    assert await ann.say("UID EXPUNGE 1:2") == b"OK UID EXPUNGE completed\r\n", "not deleted"
    assert list(ann.view.mailbox.uids) == [1, 2, 3]


async def test_examine(at: Desk) -> None:
    ann = at.select(read_only=True)
    assert (await ann.say("EXPUNGE")).startswith(b"NO [CANNOT] ")
    assert (await ann.say("UID EXPUNGE 3")).startswith(b"NO [CANNOT] ")


async def test_uids_are_never_used_again(at: Desk) -> None:
    ann = at.select()
    await ann.say("EXPUNGE")
    assert await at.deliver(letter("f")) == [6]
    assert b"* 3 EXISTS\r\n" in await ann.say("NOOP")
    assert b"* 3 FETCH (UID 6)" in await ann.say("FETCH 3 UID")
