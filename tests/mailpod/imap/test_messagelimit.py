"""MESSAGELIMIT: RFC 9738. At most 10, and INBOX has the UIDs 1 to 20 but 15: the newest 10 are UID 10 and up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.mailpod.imap.dialogue import Client, MakeWorld, World

from mailpod.config import ImapSettings
from mailpod.imap.sets import last, runs
from mailpod.store import NewMessage

LIMITED = b"[MESSAGELIMIT 10 10]"
UNTAGGED = b"* NO [MESSAGELIMIT 10 10] Only the newest messages were processed"
REFUSED = b"a NO [MESSAGELIMIT 10] Too many messages, at most 10 at once"


@pytest.fixture
async def limited(make: MakeWorld) -> World:
    world = await make(imap=ImapSettings().model_copy(update={"message_limit": 10}))  # fewer than are allowed
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"Subject: x\n\nx")] * 20)
    await account.expunge(account.mailbox("INBOX"), [15])
    return world


@pytest.fixture
async def client(limited: World) -> Client:
    return await limited.login(select="INBOX")


async def test_it_is_announced(client: Client, world: World) -> None:
    words = (await client.ok(b"CAPABILITY"))[0]
    assert b" MESSAGELIMIT=10 " in words
    assert b"SAVELIMIT" not in words
    assert b"MESSAGELIMIT" not in (await (await world.login()).ok(b"CAPABILITY"))[0]


@pytest.mark.parametrize("items", [b"(UID)", b"(FLAGS UID)", b"(RFC822.SIZE UID)", b"(BODY.PEEK[TEXT] UID)"])
async def test_fetch_is_of_the_newest(client: Client, items: bytes) -> None:
    """RFC 9738 §3.1; what is told leads to the rest."""
    *told, tagged = await client.ask(b"FETCH 1:* " + items)
    assert tagged == b"a OK %b FETCH completed" % LIMITED
    assert len(told) == 10
    assert told[0].startswith(b"* 10 FETCH (") and b"UID 10" in told[0]
    *told, tagged = await client.ask(b"UID FETCH 1:9 " + items)
    assert (len(told), tagged) == (9, b"a OK UID FETCH completed")


async def test_fetch_that_asks_for_few(client: Client) -> None:
    assert (await client.ask(b"UID FETCH 10:* (FLAGS)"))[-1] == b"a OK UID FETCH completed"
    assert (await client.ask(b"FETCH 1:3,11,19:* (FLAGS)"))[-1] == b"a OK FETCH completed"


async def test_only_seen_where_it_was_shown(client: Client) -> None:
    assert (await client.ask(b"UID FETCH 1:* (BODY[TEXT])"))[-1].startswith(b"a OK " + LIMITED)
    assert await client.ok(b"UID SEARCH UIDBEFORE 12 SEEN") == [b"* SEARCH 10 11"]


async def test_pages(client: Client) -> None:
    """RFC 9738 §3.1: one of more than the limit is refused; others are of all messages."""
    assert await client.refused(b"UID FETCH 1:* (UID) (PARTIAL -1:-11)") == REFUSED
    assert await client.refused(b"UID FETCH 1:* (UID) (PARTIAL 11:1)") == REFUSED
    *told, tagged = await client.ask(b"UID FETCH 1:* (UID) (PARTIAL 1:10)")
    assert (told[0], len(told), tagged) == (b"* 1 FETCH (UID 1)", 10, b"a OK UID FETCH completed")


async def test_changes_count_not_what_they_are_looked_for_in(client: Client) -> None:
    """RFC 7162 §3.1.4.1, with RFC 9738 §3.1: only what changed is processed."""
    await client.ok(b"UID STORE 3,13 +FLAGS.SILENT (\\Seen)")
    modseq = int((await client.ok(b"FETCH 3 (MODSEQ)"))[0].split(b"(")[2].split(b")")[0])
    told = await client.ask(b"UID FETCH 1:* (UID) (CHANGEDSINCE %d)" % (modseq - 1))
    assert [line.split(b"(UID ")[-1].split()[0] for line in told[:-1]] == [b"3", b"13"]
    assert told[-1] == b"a OK UID FETCH completed"
    assert (await client.ask(b"UID FETCH 1:* (UID) (CHANGEDSINCE 1)"))[-1] == b"a OK %b UID FETCH completed" % LIMITED


async def test_store_is_of_the_newest(client: Client) -> None:
    assert (await client.ask(b"UID STORE 1:* +FLAGS.SILENT (\\Flagged)")) == [b"a OK %b UID STORE completed" % LIMITED]
    assert await client.ok(b"UID SEARCH UIDBEFORE 12 FLAGGED") == [b"* SEARCH 10 11"]
    assert await client.ask(b"UID STORE 1:9 +FLAGS.SILENT (\\Flagged)") == [b"a OK UID STORE completed"]


async def test_a_reply_with_another_code(client: Client) -> None:
    """RFC 9738 §3.1: then it is told untagged."""
    *told, tagged = await client.ask(b"UID STORE 1:* (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Flagged)")
    assert told[-1] == UNTAGGED
    assert tagged.startswith(b"a OK [MODIFIED 10:14,16:20] ")


async def test_a_reply_that_is_a_no(client: Client, limited: World) -> None:
    account = await limited.account()
    await account.expunge(account.mailbox("INBOX"), [12])
    told = await client.ask(b"STORE 1:* +FLAGS.SILENT (\\Flagged)")
    assert UNTAGGED in told
    assert told[-1].startswith(b"a NO [EXPUNGEISSUED] ")


async def test_copy_and_append_are_refused_whole(client: Client) -> None:
    assert await client.refused(b"UID COPY 1:* Sent") == REFUSED.replace(b"10]", b"10 10]")
    assert await client.refused(b"COPY 1:* Sent") == REFUSED.replace(b"10]", b"10 10]")
    assert await client.refused(b"APPEND Sent" + b" {1+}\r\nx" * 11) == REFUSED
    assert await client.ok(b"STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 0)"]
    await client.ok(b"APPEND Sent" + b" {1+}\r\nx" * 10)
    await client.ok(b"UID COPY 10:* Sent")


async def test_move_is_of_the_newest_until_all_are_moved(client: Client) -> None:
    *told, tagged = await client.ask(b"UID MOVE 1:* Sent")
    assert told[0].startswith(b"* OK [COPYUID ") and b" 10:14,16:20 1:10] " in told[0]
    assert (len(told), tagged) == (12, b"a OK %b Done" % LIMITED)
    assert (await client.ask(b"UID MOVE 1:* Sent"))[-1] == b"a OK Done"
    assert await client.ok(b"STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 19)"]


async def test_move_with_qresync(limited: World) -> None:
    client = await limited.login()
    await client.ok(b"ENABLE QRESYNC")
    await client.ok(b"SELECT INBOX")
    told = await client.ask(b"UID MOVE 1:* Sent")
    assert told[1] == b"* VANISHED 10:14,16:20"
    assert told[-2] == UNTAGGED
    assert told[-1].startswith(b"a OK [HIGHESTMODSEQ ")


async def test_uid_expunge_is_of_the_newest_deleted(client: Client) -> None:
    await client.ok(b"UID STORE 1:9 +FLAGS.SILENT (\\Deleted)")
    await client.ok(b"UID STORE 11:* +FLAGS.SILENT (\\Deleted)")
    assert (await client.ask(b"UID EXPUNGE 1:*"))[-1] == b"a OK [MESSAGELIMIT 10 9] UID EXPUNGE completed"
    assert await client.ok(b"UID SEARCH ALL") == [b"* SEARCH 1 2 3 4 5 6 7 8 10"]


@pytest.mark.parametrize("command", [b"EXPUNGE", b"CLOSE"])
async def test_expunge_and_close_have_no_limit(client: Client, command: bytes) -> None:
    """RFC 9738 §3.1."""
    await client.ok(b"UID STORE 1:9 +FLAGS.SILENT (\\Deleted)")
    await client.ok(b"UID STORE 10:* +FLAGS.SILENT (\\Deleted)")
    assert (await client.ask(command))[-1] == b"a OK %b completed" % command
    assert await client.ok(b"STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]


async def test_the_newest_are_searched(client: Client) -> None:
    """It is what is searched that counts, as far as numbers and UIDs do not say it."""
    await client.ok(b"UID STORE 1,9,10,12 +FLAGS.SILENT (\\Flagged)")
    assert await client.ask(b"UID SEARCH FLAGGED") == [
        b"* SEARCH 10 12",
        b"a OK %b UID SEARCH completed" % LIMITED,
    ]
    whole = b"a OK UID SEARCH completed"
    assert await client.ask(b"UID SEARCH FLAGGED UIDBEFORE 10") == [b"* SEARCH 1 9", whole]
    assert await client.ask(b"UID SEARCH (UIDAFTER 8 UIDBEFORE 19) FLAGGED") == [b"* SEARCH 9 10 12", whole]
    assert await client.ask(b"UID SEARCH 1,2 FLAGGED") == [b"* SEARCH 1", whole]
    assert await client.ask(b"UID SEARCH UIDBEFORE 1") == [b"* SEARCH", whole]
    assert await client.ask(b"UID SEARCH OR UID 1:3 NOT UIDBEFORE 19 FLAGGED") == [b"* SEARCH 1", whole]
    assert (await client.ask(b"UID SEARCH OR UID 1 FLAGGED"))[-1] == b"a OK %b UID SEARCH completed" % LIMITED


async def test_what_a_search_returns(client: Client) -> None:
    assert await client.ask(b"UID SEARCH RETURN (MIN MAX COUNT) ALL") == [
        b'* ESEARCH (TAG "a") UID MIN 10 MAX 20 COUNT 10',
        b"a OK %b UID SEARCH completed" % LIMITED,
    ]
    assert await client.ask(b"UID SEARCH RETURN (PARTIAL -1:-2) ALL") == [
        b'* ESEARCH (TAG "a") UID PARTIAL (-1:-2 19:20)',
        b"a OK %b UID SEARCH completed" % LIMITED,
    ]


async def test_what_is_saved(client: Client) -> None:
    """RFC 9738 §3.4: no more than what was told of."""
    assert (await client.ask(b"UID SEARCH RETURN (SAVE) ALL"))[-1] == b"a OK %b UID SEARCH completed" % LIMITED
    assert await client.ok(b"UID SEARCH RETURN (MIN COUNT) $") == [b'* ESEARCH (TAG "a") UID MIN 10 COUNT 10']


async def test_a_part_is_not_updated(client: Client) -> None:
    """RFC 5267 §4.3.1."""
    told = await client.ask(b"UID SEARCH RETURN (COUNT UPDATE) ALL")
    assert told[1] == b'* NO [NOUPDATE "a"] Not all messages were searched'
    assert len(await client.ask(b"UID SEARCH RETURN (COUNT UPDATE) UIDAFTER 12")) == 2


@pytest.mark.parametrize(
    "command", [b"SORT (DATE) UTF-8", b"SORT RETURN (COUNT) (DATE) UTF-8", b"THREAD REFERENCES UTF-8"]
)
async def test_sort_and_thread_are_refused_whole(client: Client, command: bytes) -> None:
    """RFC 9738 §3.3."""
    assert await client.refused(command + b" ALL") == REFUSED
    assert (await client.ask(b"UID " + command + b" UIDBEFORE 10 UNSEEN"))[-1].startswith(b"a OK UID ")


async def test_many_mailboxes_are_searched_whole(client: Client) -> None:
    assert (await client.ask(b"ESEARCH IN (selected) RETURN (COUNT) ALL"))[-1] == b"a OK %b ESEARCH completed" % LIMITED
    await client.ok(b"APPEND Sent" + b" {1+}\r\nx" * 4)
    assert await client.refused(b"ESEARCH IN (personal) RETURN (COUNT) UNSEEN") == REFUSED
    assert len(await client.ok(b"ESEARCH IN (personal) RETURN (COUNT) UNSEEN UIDBEFORE 5")) == 2
    await client.ok(b"UNSELECT")
    assert await client.refused(b"ESEARCH IN (mailboxes INBOX) RETURN (COUNT) ALL") == REFUSED
    assert len(await client.ok(b"ESEARCH IN (mailboxes Sent) RETURN (COUNT) ALL")) == 1


async def test_without_numbers(limited: World) -> None:
    """RFC 9586; UIDBATCHES (RFC 10022) processes no message, and is of all."""
    client = await limited.login()
    await client.ok(b"ENABLE UIDONLY")
    await client.ok(b"SELECT INBOX")
    *told, tagged = await client.ask(b"UID FETCH 1:* (FLAGS)")
    assert told[0].startswith(b"* 10 UIDFETCH (")
    assert tagged == b"a OK %b UID FETCH completed" % LIMITED
    assert await client.ok(b"UIDBATCHES 500") == [b'* UIDBATCHES (TAG "a") 20:1']


async def test_the_next_command_is_another(client: Client) -> None:
    await client.send(b"a UID FETCH 1:* (FLAGS)\r\nb UID FETCH 1:9 (FLAGS)\r\nc UID SEARCH RETURN (COUNT) 1:9\r\n")
    assert (await client.until(b"a"))[-1] == b"a OK %b UID FETCH completed" % LIMITED
    assert (await client.until(b"b"))[-1] == b"b OK UID FETCH completed"
    assert (await client.until(b"c"))[-1] == b"c OK UID SEARCH completed"


def test_the_setting() -> None:
    """RFC 9738 §3: 1000 or more, and one of the two."""
    with pytest.raises(ValidationError):
        ImapSettings(message_limit=999)
    with pytest.raises(ValidationError, match="without `save_limit`"):
        ImapSettings(message_limit=1000, save_limit=1000)


@given(st.sets(st.integers(0, 60)), st.integers(1, 30))
def test_the_last_numbers_of_ranges(numbers: set[int], most: int) -> None:
    assert last(runs(sorted(numbers)), most) == runs(sorted(numbers)[-most:])
