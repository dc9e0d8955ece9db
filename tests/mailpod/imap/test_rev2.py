"""IMAP4rev2 once it is enabled: RFC 9051, what differs from RFC 3501 (App. E)."""

from __future__ import annotations

import unicodedata

import pytest
from tests.mailpod.imap.dialogue import Client, World

from mailpod.store import NewMessage


@pytest.fixture
async def client(world: World) -> Client:
    client = await world.login()
    assert await client.ok(b"ENABLE imap4rev2") == [b"* ENABLED IMAP4rev2"]
    return client


async def test_select(client: Client, world: World) -> None:
    account = await world.account()
    await account.append("Sent", [NewMessage(b"a"), NewMessage(b"b")])
    sent = account.mailbox("Sent")
    assert await client.ok(b"SELECT Sent") == [
        b"* FLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen)",
        b"* 2 EXISTS",
        b"* OK [PERMANENTFLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen \\*)] Keywords may be added",
        b"* OK [UIDNEXT 3] Predicted next UID",
        b"* OK [UIDVALIDITY %d] UIDs are valid" % sent.uidvalidity,
        b"* OK [MAILBOXID (%b)] Ok" % sent.object_id.encode(),
        b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH",
        b"* OK [HIGHESTMODSEQ %d] Highest" % sent.highest_modseq,
        b'* LIST (\\HasNoChildren \\Sent) "/" Sent',
    ]
    assert (await client.ok(b"EXAMINE INBOX"))[0] == b"* OK [CLOSED] Previous mailbox is closed"


async def test_flags_that_others_change_come_with_the_uid(client: Client, world: World) -> None:
    """RFC 9051 §7.5.2, in IDLE and elsewhere; what a STORE answers has no more than RFC 3501's."""
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"a"), NewMessage(b"b")])
    inbox = account.mailbox("INBOX")
    await account.expunge(inbox, [1])
    await client.ok(b"SELECT INBOX")
    await account.store_flags(inbox, [2], "add", ["\\Seen"])
    assert await client.ok(b"NOOP") == [b"* 1 FETCH (UID 2 FLAGS (\\Seen))"]
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await account.store_flags(inbox, [2], "add", ["\\Flagged"])
    assert await client.line() == b"* 1 FETCH (UID 2 FLAGS (\\Flagged \\Seen))"
    await client.send(b"DONE\r\n")
    assert await client.until(b"i") == [b"i OK IDLE completed"]
    assert await client.ok(b"STORE 1 -FLAGS (\\Seen)") == [b"* 1 FETCH (FLAGS (\\Flagged))"]


async def test_no_recent(client: Client, world: World) -> None:
    account = await world.account()
    await client.ok(b"SELECT INBOX")
    await account.append("INBOX", [NewMessage(b"a")])
    assert await client.ok(b"NOOP") == [b"* 1 EXISTS"]
    assert await client.ok(b"FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS ())"]
    assert await client.ok(b"FETCH 1 (RFC822.SIZE FLAGS)") == [b"* 1 FETCH (RFC822.SIZE 1 FLAGS ())"]
    for command in (b"SEARCH RECENT", b"SEARCH NEW", b"SEARCH NOT OLD", b"STATUS INBOX (RECENT)"):
        assert (await client.refused(command)).startswith(b"a BAD"), command


async def test_search_answers_esearch(client: Client, world: World) -> None:
    await (await world.account()).append("INBOX", [NewMessage(b"a"), NewMessage(b"b"), NewMessage(b"c")])
    await client.ok(b"SELECT INBOX")
    assert await client.ok(b"SEARCH 1,3") == [b'* ESEARCH (TAG "a") ALL 1,3']
    assert await client.ok(b"UID SEARCH ALL") == [b'* ESEARCH (TAG "a") UID ALL 1:3']
    assert await client.ok(b"SEARCH SEEN") == [b'* ESEARCH (TAG "a")']
    assert await client.ok(b"SORT (REVERSE SIZE) UTF-8 1:2") == [b"* SORT 1 2"], "RFC 5256 is as it was"


async def test_names_are_utf8(client: Client, world: World) -> None:
    old = await world.login()
    await client.ok('CREATE "Entwürfe & mehr"'.encode())
    await client.ok(b"CREATE {5+}\r\n\xe2\x98\x83&-")
    assert await client.ok(b'LIST "" (E* "\xe2\x98\x83*")') == [
        '* LIST () "/" "Entwürfe & mehr"'.encode(),
        b'* LIST () "/" "\xe2\x98\x83&-"',
    ], "& has no meaning of its own any more"
    assert await old.ok(b'LIST "" E*') == [b'* LIST (\\HasNoChildren) "/" "Entw&APw-rfe &- mehr"']
    assert await client.ok('STATUS "Entwürfe & mehr" (MESSAGES)'.encode()) == [
        '* STATUS "Entwürfe & mehr" (MESSAGES 0)'.encode()
    ]
    assert (await client.ok('SELECT "Entwürfe & mehr"'.encode()))[-1] == (
        '* LIST (\\HasNoChildren) "/" "Entwürfe & mehr"'.encode()
    )
    assert (await client.refused(b'CREATE "\xff"')).startswith(b"a BAD")
    await client.ok(b"SUBSCRIBE {5+}\r\n\xe2\x98\x83&-")
    assert await client.ok(b'LSUB "" *&*') == [b'* LSUB () "/" "\xe2\x98\x83&-"']


async def test_a_name_is_the_same_in_any_normalization_form(client: Client, world: World) -> None:
    """RFC 9051 §5.1: none but Net-Unicode is created; who accepts other forms does so in all commands."""
    account = await world.account()
    composed, apart = "Entwürfe/Öl", unicodedata.normalize("NFD", "Entwürfe/Öl")
    await client.ok(f'CREATE "{apart}"'.encode())
    assert composed in account.mailboxes
    assert (await client.refused(f'CREATE "{composed}"'.encode())).startswith(b"a NO [ALREADYEXISTS]")
    for name in (composed, apart):
        await client.ok(f'SELECT "{name}"'.encode())
        await client.ok(f'STATUS "{name}" (MESSAGES)'.encode())
        assert len(await client.ok(f'LIST "" "{name}"'.encode())) == 1
    old = await world.login()
    await old.ok(b"SELECT Entwu&Awg-rfe/O&Awg-l")
    await client.ok(f'RENAME "{apart}" "{apart}e"'.encode())
    assert f"{composed}e" in account.mailboxes
    await client.ok(f'DELETE "{apart}e"'.encode())


async def test_a_name_of_before_names_were_normalized(client: Client, world: World) -> None:
    account, apart = await world.account(), unicodedata.normalize("NFD", "Öl")
    await account.create(apart)
    await account.create(apart + "/more")
    listed = await client.ok(b'LIST "" "O*"')
    assert listed[0].endswith(f'"/" "{apart}"'.encode())
    await client.ok(f'SELECT "{apart}"'.encode())
    assert (await client.refused('CREATE "Öl"'.encode())).startswith(b"a NO [ALREADYEXISTS]")
    await client.ok(f'RENAME "{apart}" Oil'.encode())
    assert {"Oil", "Oil/more"} <= account.mailboxes.keys()


async def test_nothing_changes_for_who_did_not_ask(world: World) -> None:
    client = await world.login()
    await client.ok(b"ENABLE CONDSTORE")
    answer = await client.ok(b"SELECT INBOX")
    assert b"* 0 RECENT" in answer
    assert not any(line.startswith(b"* LIST") for line in answer)
    assert await client.ok(b"SEARCH ALL") == [b"* SEARCH"]


async def test_status_of_rev2(client: Client) -> None:
    assert await client.ok(b"STATUS INBOX (MESSAGES UNSEEN DELETED SIZE UIDNEXT)") == [
        b"* STATUS INBOX (MESSAGES 0 UNSEEN 0 DELETED 0 SIZE 0 UIDNEXT 1)"
    ]
    assert await client.ok(b"NAMESPACE") == [b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL']
