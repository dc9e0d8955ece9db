"""What mail clients were seen to send, in their own words and odd ways; each test names where it was seen."""

from __future__ import annotations

import base64
import re

import pytest
from tests.mailpod.imap.dialogue import Client, World

from mailpod.store import NewMessage

LETTER = (
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: Bob <bob@elsewhere.test>\r\nTo: ann@example.org\r\n"
    b"Subject: Minutes\r\nMessage-ID: <minutes@elsewhere.test>\r\nX-Universally-Unique-Identifier: 4A1F\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nWe met on Monday.\r\n"
)
PLAIN = base64.b64encode(b"\0ann@example.org\0secret")


@pytest.fixture
async def inbox(world: World) -> World:
    account = await world.account()
    await account.append("INBOX", [NewMessage(LETTER), NewMessage(LETTER), NewMessage(LETTER)])
    return world


async def pipelined(client: Client, commands: bytes) -> list[bytes]:
    """Sent in one piece; every response up to the last command's."""
    await client.send(commands)
    return await client.until(commands.rstrip(b"\r\n").rpartition(b"\r\n")[2].partition(b" ")[0])


async def test_ios_18_pipelines_its_first_commands(inbox: World) -> None:
    """github.com/stalwartlabs/stalwart/issues/765: NAMESPACE and LIST in one piece."""
    client = await inbox.connect()
    await client.ok(b'ID ("name" "iPhone Mail" "version" "22A3354" "os" "iOS" "os-version" "18.0 (22A3354)")')
    await client.ok(b"AUTHENTICATE PLAIN %b" % PLAIN)
    lines = await pipelined(client, b'A3 NAMESPACE\r\nA4 LIST "" "*" RETURN (SPECIAL-USE)\r\n')
    assert lines[0].startswith(b"* NAMESPACE ") and lines[1].startswith(b"A3 OK ")
    assert [line for line in lines if b"\\Sent" in line] == [b'* LIST (\\Sent) "/" Sent']


async def test_ios_puts_an_empty_line_before_a_command(inbox: World) -> None:
    """github.com/stalwartlabs/stalwart/issues/1201: contents = "\\r\\nB41 UID MOVE 475 \\"Trash\\"\\r\\n"."""
    client = await inbox.login(select="INBOX")
    assert (await pipelined(client, b'\r\nB41 UID MOVE 2 "Trash"\r\n'))[-1].startswith(b"B41 OK ")
    # what is not there any more is moved: an iPhone that is told NO shows it for ever
    assert (await pipelined(client, b'B42 UID MOVE 2 "Trash"\r\n'))[-1].startswith(b"B42 OK ")


async def test_macos_mail_reads_a_mailbox(inbox: World) -> None:
    """github.com/mjl-/mox/issues/66 (Mail 16), and the AppleMail profile in Dovecot's imaptest."""
    client = await inbox.connect()
    mail = b'ID ("name" "Mac OS X Mail" "version" "16.0 (3731.700.6)" "os" "Mac OS X" "vendor" "Apple Inc.")'
    assert (await client.ok(mail))[0].startswith(b'* ID ("name" "Mailpod"')
    await client.ok(b"LOGIN ann@example.org secret")
    assert b"* OK [HIGHESTMODSEQ " in b"\n".join(await client.ok(b"SELECT INBOX (CONDSTORE)"))
    assert [line.partition(b" (")[0] for line in await client.ok(b"FETCH 1:3 (FLAGS UID)")] == [
        b"* 1 FETCH",
        b"* 2 FETCH",
        b"* 3 FETCH",
    ]
    fields = (
        b"date subject from to cc message-id in-reply-to references content-type x-priority "
        b"x-uniform-type-identifier x-universally-unique-identifier list-id list-unsubscribe bimi-indicator"
    )
    [line] = await client.ok(
        b"UID FETCH 1 (INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (%b)] MODSEQ)" % fields
    )
    # github.com/spartanz51/tutabridge/pull/15: Mail drops an answer whose list of fields is not the one it wrote
    assert b"BODY[HEADER.FIELDS (%b)] {" % fields in line
    assert b"X-Universally-Unique-Identifier: 4A1F\r\n" in line and b"MODSEQ (" in line
    [line] = await client.ok(b"UID FETCH 1 (BODYSTRUCTURE BODY.PEEK[])")
    assert LETTER in line
    assert [line for line in await client.ok(b'LSUB "" *') if line.endswith(b" Drafts")] == [b'* LSUB () "/" Drafts']


async def test_macos_mail_keeps_a_draft_and_its_keywords(inbox: World) -> None:
    """$NotJunk, NotJunk, JunkRecorded and $MailFlagBit0 are Apple Mail's: RFC 9979 and its own."""
    client = await inbox.login(select="Drafts")
    await client.send(b"a APPEND Drafts (\\Seen \\Draft $NotJunk NotJunk) {%d}\r\n" % len(LETTER))
    assert (await client.line()).startswith(b"+ ")
    await client.send(LETTER + b"\r\n")
    assert b"[APPENDUID " in (await client.until(b"a"))[-1]
    await client.ok(b"UID STORE 1 +FLAGS.SILENT ($MailFlagBit0 $Forwarded JunkRecorded)")
    [line] = await client.ok(b"UID FETCH 1 FLAGS")
    for word in b"\\Draft $NotJunk NotJunk $MailFlagBit0 $Forwarded JunkRecorded".split():
        assert word in line


async def test_macos_mail_names_thousands_of_messages_in_a_line(inbox: World) -> None:
    """Dovecot's imap_max_line_length is 64 KiB for such clients, and so is our `imap.command_bytes`."""
    client = await inbox.login(select="INBOX")
    uids = b",".join(b"%d" % uid for uid in range(1, 20_000, 2))
    assert len(uids) > 50_000
    assert len(await client.ok(b"UID FETCH %b (FLAGS UID)" % uids)) == 2


async def test_outlook_deletes_by_copy(inbox: World) -> None:
    """Outlook makes folders of its own names, marks and purges later; it asks LIST "" "" for the delimiter."""
    client = await inbox.login()
    assert await client.ok(b'LIST "" ""') == [b'* LIST (\\Noselect) "/" ""']
    await client.ok(b'CREATE "Deleted Items"')
    await client.ok(b'SUBSCRIBE "Deleted Items"')
    assert await client.ok(b'LSUB "" "Deleted*"') == [b'* LSUB () "/" "Deleted Items"']
    await client.ok(b"SELECT INBOX")
    # n:* beyond the last message names the last (RFC 9051 §9 seq-range); Outlook asks so for what is new
    assert await client.ok(b"UID FETCH 4:* (UID FLAGS)") == [b"* 3 FETCH (UID 3 FLAGS (\\Recent))"]
    await client.ok(b'UID COPY 1 "Deleted Items"')
    await client.ok(b"UID STORE 1 +FLAGS (\\Seen \\Deleted)")
    assert await client.ok(b"UID EXPUNGE 1") == [b"* 1 EXPUNGE", b"* 2 RECENT"]
    assert await client.ok(b"STATUS INBOX (MESSAGES UIDNEXT UNSEEN)") == [  # of the selected mailbox itself
        b"* STATUS INBOX (MESSAGES 2 UIDNEXT 4 UNSEEN 2)"
    ]
    await client.ok(b"NOOP")


async def test_k9_looks_without_changing(inbox: World) -> None:
    """github.com/stalwartlabs/imap-server/issues/13, and K-9's RealImapFolder: it syncs a mailbox that it examines."""
    client = await inbox.login()
    await client.ok(b'LIST "" "*" RETURN (SPECIAL-USE)')
    lines = await client.ask(b'EXAMINE "INBOX"')
    assert lines[-1].startswith(b"a OK [READ-ONLY]") and b"* 3 EXISTS" in lines
    assert await client.ok(b"UID SEARCH 1:3 NOT DELETED SINCE 1-Jan-2020") == [b"* SEARCH 1 2 3"]
    assert await client.ok(b'UID SEARCH HEADER MESSAGE-ID "<minutes@elsewhere.test>"') == [b"* SEARCH 1 2 3"]
    fields = b"date subject from content-type to cc reply-to message-id references in-reply-to X-K9mail-Identity"
    lines = await client.ok(
        b"UID FETCH 3,2 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (%b)])" % fields
    )
    assert all(b"BODY[HEADER.FIELDS (%b)] {" % fields in line for line in lines) and len(lines) == 2
    assert await client.ok(b"UID FETCH 3 (UID BODY.PEEK[TEXT]<0.4>)") == [
        b"* 3 FETCH (UID 3 BODY[TEXT]<0> {4}\r\nWe m)"
    ]


async def test_fairemail_reads_part_by_part(inbox: World) -> None:
    """FairEmail is Jakarta Mail: LIST "" "" first, numbers by UID, then ENVELOPE and parts in pieces."""
    client = await inbox.login()
    await client.ok(b'LIST "" ""')
    await client.ok(b'LIST "" "%"')
    await client.ok(b"SELECT INBOX")
    assert await client.ok(b"UID FETCH 1:* (UID)") == [b"* %d FETCH (UID %d)" % (n, n) for n in (1, 2, 3)]
    [line] = await client.ok(b"FETCH 1:1 (ENVELOPE INTERNALDATE RFC822.SIZE FLAGS BODYSTRUCTURE)")
    assert b'"<minutes@elsewhere.test>"' in line
    [line] = await client.ok(b"FETCH 1 (BODY.PEEK[1]<0.65536>)")
    assert line.endswith(b"We met on Monday.\r\n)")
    assert await client.ok(b'SEARCH HEADER Message-ID "<minutes@elsewhere.test>" ALL') == [b"* SEARCH 1 2 3"]


async def test_android_mail_and_gmail_search_by_number_and_day(inbox: World) -> None:
    """Android's ImapFolder.java, from which Gmail's app comes: UID SEARCH 1:* NOT DELETED, flags in capitals."""
    client = await inbox.login(select="INBOX")
    assert await client.ok(b"UID SEARCH 1:* NOT DELETED") == [b"* SEARCH 1 2 3"]
    assert await client.ok(b"UID SEARCH 2:3 SINCE 8-Nov-2020") == [b"* SEARCH 2 3"]
    assert await client.ok(b"UID STORE 3 +FLAGS.SILENT (\\SEEN)") == []
    [line] = await client.ok(b"UID FETCH 3 (UID FLAGS)")
    assert re.search(rb"FLAGS \(.*\\Seen.*\)", line)
    await client.ok(b'UID COPY 3 "Trash"')
    await client.ok(b"UID STORE 3 +FLAGS.SILENT (\\DELETED)")
    assert await client.ok(b"EXPUNGE") == [b"* 3 EXPUNGE", b"* 2 RECENT"]


async def test_thunderbird_marks_and_asks_again(inbox: World) -> None:
    """tests/protocol/test_thunderbird.py has the real one; these are its keywords, and what it asks while selected."""
    client = await inbox.login()
    assert len(await client.ok(b'list (subscribed) "" "*" return (special-use)')) == 6
    await client.ok(b'select "INBOX"')
    await client.ok(b"uid store 1 +Flags ($label1 NonJunk $Forwarded $MDNSent)")
    await client.ok(b"uid store 1 -Flags ($label1)")
    [line] = await client.ok(b"UID fetch 1 (FLAGS)")
    assert b"$MDNSent" in line and b"NonJunk" in line and b"$label1" not in line
    assert await client.ok(b'getquotaroot "INBOX"') == [b"* QUOTAROOT INBOX"]
    assert await client.ok(b'STATUS "INBOX" (UIDNEXT MESSAGES UNSEEN RECENT)') == [
        b"* STATUS INBOX (UIDNEXT 4 MESSAGES 3 UNSEEN 3 RECENT 3)"  # as it was told them
    ]
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await client.send(b"DONE\r\nn noop\r\n")  # both at once, as after 29 minutes
    assert (await client.until(b"n"))[0].startswith(b"i OK ")


async def test_names_in_quotes_that_are_not_ascii(inbox: World) -> None:
    """RFC 3501 §4.3 has 7 bits in quotes; some send UTF-8 and have enabled nothing. It is the name that they mean."""
    client = await inbox.login()
    await client.ok('CREATE "Entwürfe"'.encode())
    assert (await client.refused(b'CREATE "Entw&APw-rfe"')).startswith(b"a NO [ALREADYEXISTS]")
    await client.ok(b"NOOP")
