"""STORE and UID STORE: RFC 3501 §6.4.6."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Client, Desk, desk, keywords, letter

from mailpod.store import Mailbox


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(letter("a"), letter("b"), letter("c"))
        found.account.mailbox("INBOX").claim_recent()
        yield found


async def test_answers_the_new_flags_of_each_message_once(at: Desk) -> None:
    ann = at.select()
    assert await ann.say("STORE 1:2 +FLAGS (\\Seen)") == (
        b"* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS (\\Seen))\r\nOK STORE completed\r\n"
    )
    assert await ann.say("STORE 1 -FLAGS \\Seen") == b"* 1 FETCH (FLAGS ())\r\nOK STORE completed\r\n"
    assert await ann.say("UID STORE 2 FLAGS (\\Deleted)") == (
        b"* 2 FETCH (UID 2 FLAGS (\\Deleted))\r\nOK UID STORE completed\r\n"
    )
    assert await ann.say("STORE 2 +FLAGS (\\Deleted)") == (
        b"* 2 FETCH (FLAGS (\\Deleted))\r\nOK STORE completed\r\n"
    ), "also where nothing changes"
    assert await ann.say("NOOP") == b"OK NOOP completed\r\n", "its own change is no news"


async def test_a_new_keyword_is_announced(at: Desk) -> None:
    ann = at.select()
    assert await ann.say("STORE 1 +FLAGS.SILENT (work)") == keywords("work") + b"OK STORE completed\r\n"
    assert await ann.say("STORE 1 +FLAGS.SILENT (WORK)") == b"OK STORE completed\r\n"


async def test_a_keyword_that_is_taken_away_is_known_from_then_on(at: Desk) -> None:
    """As in Dovecot and Cyrus: imaptest misses it in FLAGS otherwise. Nothing changes, so no MODSEQ does."""
    ann, modseqs = at.select(), list(at.account.mailbox("INBOX").modseqs)
    answer = await ann.say("STORE 1:2 -FLAGS (work)")
    assert answer.startswith(keywords("work") + b"* 1 FETCH (FLAGS (")
    assert answer.endswith(b"OK STORE completed\r\n")
    head = at.account.head
    assert await ann.say("STORE 1:2 -FLAGS.SILENT (WORK)") == b"OK STORE completed\r\n"
    assert at.account.head == head
    assert list(at.account.mailbox("INBOX").modseqs) == modseqs
    other = await at.other_pod()
    assert other.account.mailbox("INBOX").keywords == ["work"]


async def test_the_last_keyword_there_can_be() -> None:
    """RFC 9051 §7.1 PERMANENTFLAGS: without \\* once the limit is reached."""
    async with desk(keywords=1) as at:
        await at.deliver(letter())
        ann = at.select()
        flags = b"\\Answered \\Deleted \\Draft \\Flagged \\Seen one"
        assert await ann.say("STORE 1 +FLAGS.SILENT (one)") == (
            b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] Others cannot be changed\r\nOK STORE completed\r\n"
            % (flags, flags)
        )
        assert (await ann.say("STORE 1 +FLAGS (two)")).startswith(b"NO [LIMIT] ")
        assert (await ann.say("STORE 1 FLAGS (ONE)")).endswith(b"OK STORE completed\r\n")
        assert await ann.say("STORE 1 -FLAGS.SILENT (two one)") == b"OK STORE completed\r\n"
        assert at.account.mailbox("INBOX").keywords == ["one"]


async def test_a_new_keyword_is_announced_before_it_is_used(at: Desk) -> None:
    """RFC 3501 §7.2.6: FLAGS has the keywords that are applicable, so it comes before the first that uses one."""
    ann, bob, eve, joe = (at.select() for _ in range(4))
    flags = keywords("work")
    told = flags + b"* 1 FETCH (FLAGS (work))\r\n"
    assert await ann.say("STORE 1 +FLAGS (work)") == told + b"OK STORE completed\r\n"
    assert await bob.say("FETCH 1 FLAGS") == told + b"OK FETCH completed\r\n"
    assert await eve.say("NOOP") == told + b"OK NOOP completed\r\n"
    answer = await joe.say("FETCH 1 BODY[TEXT]")
    assert answer.startswith(flags + b"* 1 FETCH (FLAGS (\\Seen work) BODY[TEXT] {")


async def test_silent_says_nothing_and_others_are_told(at: Desk) -> None:
    ann, bob = at.select(), at.select()
    assert await ann.say("STORE 1:3 +FLAGS.SILENT (\\Seen)") == b"OK STORE completed\r\n"
    assert await ann.say("NOOP") == b"OK NOOP completed\r\n"
    assert await bob.say("NOOP") == (
        b"* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 3 FETCH (FLAGS (\\Seen))\r\n"
        b"OK NOOP completed\r\n"
    )


async def test_silent_tells_what_another_session_did(at: Desk) -> None:
    ann = at.select()
    await at.account.store_flags(ann.view.mailbox, [1], "add", ["\\Flagged"])
    assert await ann.say("STORE 1:2 +FLAGS.SILENT (\\Seen)") == (
        b"* 1 FETCH (FLAGS (\\Flagged \\Seen))\r\nOK STORE completed\r\n"
    ), "RFC 3501 §6.4.6: a change from an external source is told, as it is after the command"


async def test_silent_tells_what_another_session_did_in_the_same_instant(at: Desk) -> None:
    ann, others = at.select(), at.account.store_flags

    async def race(mailbox: Mailbox, uids: list[int], mode: str, flags: list[str], **condition: None) -> list[int]:
        await others(mailbox, [1], "add", ["\\Flagged"])
        await others(mailbox, uids, "add", flags)
        return await others(mailbox, [2], "add", ["\\Draft"])

    at.account.store_flags = race  # type: ignore[method-assign, assignment]
    assert await ann.say("STORE 1:3 +FLAGS.SILENT (\\Seen)") == (
        b"* 1 FETCH (FLAGS (\\Flagged \\Seen))\r\n* 2 FETCH (FLAGS (\\Draft \\Seen))\r\nOK STORE completed\r\n"
    )


async def test_one_commit_for_the_whole_set(at: Desk) -> None:
    head = at.account.head
    await at.select().say("STORE 1:3 +FLAGS (\\Seen)")
    assert at.account.head == head + 1


async def test_replacing_by_nothing(at: Desk) -> None:
    ann = at.select()
    await ann.say("STORE 1 FLAGS (\\Seen work)")
    assert await ann.say("STORE 1 FLAGS ()") == b"* 1 FETCH (FLAGS ())\r\nOK STORE completed\r\n"


async def test_refusals(at: Desk) -> None:
    ann, examined = at.select(), at.select(read_only=True)
    assert (await ann.say("STORE 1 +FLAGS (\\Recent)")).startswith(b"BAD ")
    assert (await ann.say("STORE 4 +FLAGS (\\Seen)")).startswith(b"BAD ")
    assert await ann.say("UID STORE 4 +FLAGS (\\Seen)") == b"OK UID STORE completed\r\n"
    assert (await examined.say("STORE 1 +FLAGS (\\Seen)")).startswith(b"NO [CANNOT] ")
    assert at.flags(1) == set()


async def test_messages_that_another_session_expunged(at: Desk) -> None:
    ann = at.select()
    await at.account.expunge(ann.view.mailbox, [2])
    assert await ann.say("STORE 1:3 +FLAGS (\\Seen)") == (
        b"* 1 FETCH (FLAGS (\\Seen))\r\n* 3 FETCH (FLAGS (\\Seen))\r\n"
        b"NO [EXPUNGEISSUED] Some of the messages no longer exist: they have been deleted\r\n"
    )
    assert await ann.say("UID STORE 2:3 +FLAGS.SILENT (\\Flagged)") == b"* 2 EXPUNGE\r\nOK UID STORE completed\r\n"


async def test_recent_is_shown_and_kept(at: Desk) -> None:
    await at.deliver(letter("d"))
    ann: Client = at.select()
    assert await ann.say("STORE 4 FLAGS (\\Seen)") == b"* 4 FETCH (FLAGS (\\Recent \\Seen))\r\nOK STORE completed\r\n"
