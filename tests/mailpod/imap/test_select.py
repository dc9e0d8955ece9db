"""SELECT and EXAMINE, and what ends them, CLOSE and UNSELECT: RFC 3501 §6.3.1, §6.3.2, §6.4.2, RFC 3691."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import World

from mailpod.store import NewMessage

FLAGS = b"* FLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen)"
PERMANENT = b"* OK [PERMANENTFLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen \\*)] Keywords may be added"


async def test_empty_mailbox(world: World) -> None:
    client = await world.login()
    answer = await client.ask(b"SELECT inbox")
    inbox = (await world.account()).mailbox("INBOX")
    assert answer == [
        FLAGS,
        b"* 0 EXISTS",
        b"* 0 RECENT",
        PERMANENT,
        b"* OK [UIDNEXT 1] Predicted next UID",
        b"* OK [UIDVALIDITY %d] UIDs are valid" % inbox.uidvalidity,
        b"* OK [MAILBOXID (%b)] Ok" % inbox.object_id.encode(),
        b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH",
        b"* OK [HIGHESTMODSEQ %d] Highest" % inbox.highest_modseq,
        b"a OK [READ-WRITE] SELECT completed",
    ]


async def test_messages_and_keywords(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"a", frozenset(["\\Seen"])), NewMessage(b"b", frozenset(["$Junk"]))])
    client = await world.login()
    answer = await client.ok(b"EXAMINE INBOX")
    assert b"* FLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen $Junk)" in answer
    assert b"* 2 EXISTS" in answer
    assert b"* 2 RECENT" in answer
    assert b"* OK [UNSEEN 2] First unseen" in answer
    assert b"* OK [PERMANENTFLAGS ()] None can be changed" in answer
    assert b"* OK [UIDNEXT 3] Predicted next UID" in answer
    # RFC 3501 §6.3.2: EXAMINE loses no message its \Recent; SELECT does, for everyone after it
    assert b"* 2 RECENT" in await client.ok(b"SELECT INBOX")
    assert b"* 0 RECENT" in await (await world.login()).ok(b"SELECT INBOX")


async def test_a_failed_select_deselects(world: World) -> None:
    client = await world.login(select="INBOX")
    assert await client.refused(b"SELECT nowhere") == b"a NO [NONEXISTENT] Mailbox does not exist: nowhere"
    assert await client.refused(b"CHECK") == b"a BAD CHECK is not allowed in the authenticated state"


async def test_close_removes_what_is_deleted_silently(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"a", frozenset(["\\Deleted"])), NewMessage(b"b")])
    client = await world.login(select="INBOX")
    assert await client.ask(b"CLOSE") == [b"a OK CLOSE completed"]
    assert account.mailbox("INBOX").exists == 1
    assert (await client.refused(b"CLOSE")).startswith(b"a BAD")


async def test_close_after_examine_and_unselect_remove_nothing(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"a", frozenset(["\\Deleted"]))])
    client = await world.login()
    await client.ok(b"EXAMINE INBOX")
    await client.ok(b"CLOSE")
    await client.ok(b"SELECT INBOX")
    assert await client.ask(b"UNSELECT") == [b"a OK UNSELECT completed"]
    assert account.mailbox("INBOX").exists == 1


async def test_a_mailbox_deleted_by_another_session_ends_this_one(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE gone")
    await client.ok(b"SELECT gone")
    await (await world.login()).ok(b"DELETE gone")
    assert await client.ask(b"NOOP") == [b"* BYE The selected mailbox was deleted", b"a OK NOOP completed"]
    assert await client.closed()
