"""The commands of the selected state through the real session: order of responses, literals, pipelining."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.selected import letter

from mailpod.store import NewMessage


async def test_a_message_from_append_to_expunge(world: World) -> None:
    ann, bob = await world.login(select="INBOX"), await world.login(select="INBOX")
    message = letter("Dialogue")
    lines = await ann.ok(b"APPEND INBOX (\\Flagged) {%d+}\r\n%b" % (len(message), message))
    assert lines == [b"* 1 EXISTS", b"* 1 RECENT"]
    assert await bob.ok(b"NOOP") == [b"* 1 EXISTS", b"* 0 RECENT"]
    assert await bob.ok(b"UID FETCH 1:* (FLAGS BODY.PEEK[])") == [
        b"* 1 FETCH (UID 1 FLAGS (\\Flagged) BODY[] {%d}\r\n%b)" % (len(message), message)
    ]
    assert await bob.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)") == []
    assert await ann.ok(b"SEARCH DELETED SUBJECT dialogue") == [
        b"* SEARCH 1",
        b"* 1 FETCH (FLAGS (\\Deleted \\Flagged \\Recent))",
    ]
    assert await ann.ok(b"EXPUNGE") == [b"* 1 EXPUNGE", b"* 0 RECENT"], "RFC 3501 §7.3.2: the size changed"
    assert await bob.ok(b"FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS (\\Deleted \\Flagged))"], "RFC 3501 §7.4.1"
    assert await bob.ok(b"NOOP") == [b"* 1 EXPUNGE"]


async def test_move_in_the_order_of_rfc_6851(world: World) -> None:
    ann = await world.login(select="INBOX")
    for subject in ("a", "b"):
        await ann.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(letter(subject)), letter(subject)))
    lines = await ann.ask(b"MOVE 1:2 Trash")
    assert lines[0].startswith(b"* OK [COPYUID ")
    assert lines[1:4] == [b"* 1 EXPUNGE", b"* 1 EXPUNGE", b"* 0 RECENT"]
    assert lines[4].startswith(b"a OK ")


async def test_pipelined_commands_are_answered_in_order(world: World) -> None:
    ann = await world.login(select="INBOX")
    for subject in ("a", "b", "c"):
        await ann.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(letter(subject)), letter(subject)))
    await ann.send(
        b"a1 UID STORE 1 +FLAGS.SILENT (\\Seen)\r\na2 FETCH 1:3 (FLAGS)\r\na3 UID MOVE 2 Trash\r\na4 SEARCH ALL\r\n"
    )
    assert len(await ann.until(b"a1")) == 1
    assert (await ann.until(b"a2"))[0] == b"* 1 FETCH (FLAGS (\\Recent \\Seen))"
    assert b"* 2 EXPUNGE" in await ann.until(b"a3")
    assert (await ann.until(b"a4"))[0] == b"* SEARCH 1 2"


async def test_nothing_is_told_of_the_mailbox_after_bye(world: World) -> None:
    ann = await world.login(select="INBOX")
    await (await world.account()).append("INBOX", [NewMessage(letter("a"), frozenset(), 0)])
    assert await ann.ok(b"LOGOUT") == [b"* BYE Logging out"]


async def test_no_expunge_during_a_search_with_message_numbers(world: World) -> None:
    """RFC 7162 §3.2.10.2, and what follows from RFC 3501 §7.4.1."""
    ann, account = await world.login(select="INBOX"), await world.account()
    uids = (await account.append("INBOX", [NewMessage(letter(name), frozenset(), 0) for name in "abc"])).uids
    await ann.ok(b"NOOP")
    await account.expunge(account.mailbox("INBOX"), uids[:1])
    for command in (b"UID SEARCH 2:3", b"UID SORT (SIZE) UTF-8 OR 2 3", b"UID THREAD REFERENCES UTF-8 NOT (1)"):
        assert not [line for line in await ann.ok(command) if b"EXPUNGE" in line], command
    assert (await ann.ok(b"UID SEARCH UID 2:3"))[-2:] == [b"* 1 EXPUNGE", b"* 2 RECENT"]
