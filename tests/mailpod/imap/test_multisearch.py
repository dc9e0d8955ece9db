"""MULTISEARCH: RFC 7377."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, other_pod
from tests.mailpod.imap.selected import letter

from mailpod.errors import Unavailable
from mailpod.imap.search import Search
from mailpod.store import Account, NewMessage

NAMES = ("a", "a/b", "a/b/c", "ab", "z", "\u00e4 b")


async def filled(world: World) -> tuple[Client, Account]:
    """INBOX has two messages, and each other mailbox one, whose subject is its name; Sent, Junk and the rest have none.
    Where UIDs are to tell apart they differ."""
    client, account = await world.login(), await world.account()
    await append(account, "INBOX", "one", "two")
    for name in NAMES:
        await account.create(name)
        await append(account, name, *["gone"] * NAMES.index(name), name)
        box = account.mailbox(name)
        await account.expunge(box, list(box.uids)[:-1])
    return client, account


async def append(account: Account, name: str, *subjects: str) -> None:
    await account.append(name, [NewMessage(letter(subject), frozenset(), 0) for subject in subjects])


async def found(client: Client, command: bytes) -> dict[str, bytes]:
    """What is told of each mailbox, by name."""
    out: dict[str, bytes] = {}
    for line in await client.ok(command):
        start, rest = line.split(b" UIDVALIDITY ", 1)
        assert start.startswith(b'* ESEARCH (TAG "a" MAILBOX '), line
        validity, data = rest.split(b") UID")
        assert int(validity)
        out[start.removeprefix(b'* ESEARCH (TAG "a" MAILBOX ').decode()] = data.strip()
    return out


async def test_each_mailbox_with_a_match_is_told_of(world: World) -> None:
    """RFC 7377 §2.1: UIDs, and the correlators TAG, MAILBOX and UIDVALIDITY."""
    client, account = await filled(world)
    assert await client.ok(b"ESEARCH IN (mailboxes (INBOX a a/b)) UNSEEN") == [
        b'* ESEARCH (TAG "a" MAILBOX %b UIDVALIDITY %d) UID ALL %b' % (name, account.mailbox(box).uidvalidity, uids)
        for name, box, uids in ((b"INBOX", "INBOX", b"1:2"), (b"a", "a", b"1"), (b"a/b", "a/b", b"2"))
    ]
    assert await found(client, b"ESEARCH IN (personal) RETURN (MIN COUNT MAX) SUBJECT b") == {
        "a/b": b"MIN 2 MAX 2 COUNT 1",
        "a/b/c": b"MIN 3 MAX 3 COUNT 1",
        "ab": b"MIN 4 MAX 4 COUNT 1",
        '"&AOQ- b"': b"MIN 6 MAX 6 COUNT 1",
    }
    assert await client.ok(b"ESEARCH IN (personal) RETURN (COUNT) SUBJECT nowhere") == [], "COUNT 0 is not told"


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (b"inboxes", "INBOX"),
        (b"subtree a", "a a/b a/b/c"),
        (b"subtree-one a", "a a/b"),
        (b"subtree (a/b ab)", "a/b a/b/c ab"),
        (b'subtree-one ""', "INBOX a ab z"),
        (b'subtree ""', "INBOX a a/b a/b/c ab z"),
        (b"mailboxes (ab a none ab)", "ab a"),
        (b"mailboxes inbox subtree a/b mailboxes a/b", "INBOX a/b a/b/c"),
        (b"personal", "INBOX a a/b a/b/c ab z"),
        (b"subscribed", "ab"),
    ],
)
async def test_sources(world: World, sources: bytes, names: str) -> None:
    """RFC 5465 §6, RFC 7377 §2.2: each mailbox once, what is not there ignored."""
    client, account = await filled(world)
    for name in account.subscriptions.copy():
        await account.unsubscribe(name)
    await account.subscribe("ab")
    await account.subscribe("none")
    assert list(await found(client, b'ESEARCH IN (%b) NOT SUBJECT "\xc3\xa4"' % sources)) == names.split()


async def test_the_selected_mailbox(world: World) -> None:
    client, account = await filled(world)
    for command in (b"ALL", b"IN (selected) ALL", b"IN (selected inboxes) ALL"):
        assert await client.refused(b"ESEARCH " + command) == b"a BAD No mailbox is selected"
    await client.ok(b"SELECT INBOX")
    for command in (b"ALL", b"IN (selected) ALL", b"RETURN () ALL", b"1:*", b"IN (selected) 1:* UID 1:*"):
        assert await found(client, b"ESEARCH " + command) == {"INBOX": b"ALL 1:2"}
    await client.ok(b"SEARCH RETURN (SAVE) 2")
    assert await found(client, b"ESEARCH $") == {"INBOX": b"ALL 2"}
    assert await found(client, b"ESEARCH IN (mailboxes a selected) ALL") == {"INBOX": b"ALL 1:2", "a": b"ALL 1"}
    await account.expunge(account.mailbox("INBOX"), [1])
    assert len(await client.ok(b"ESEARCH 2")) == 1, "RFC 3501 §7.4.1: no EXPUNGE after message numbers"
    assert (await client.ok(b"ESEARCH UID 2"))[1:] == [b"* 1 EXPUNGE", b"* 1 RECENT"]


async def test_message_numbers(world: World) -> None:
    """RFC 7377 §2: those of each mailbox, and none is too high."""
    client, _ = await filled(world)
    command = b"ESEARCH IN (mailboxes (INBOX a/b)) "
    assert await found(client, command + b"1:100") == {"INBOX": b"ALL 1:2", "a/b": b"ALL 2"}
    await client.ok(b"SELECT a/b")
    assert await found(client, command + b"2:100") == {"INBOX": b"ALL 2"}
    for beyond in (command, b"ESEARCH "):
        assert await client.ok(beyond + b"101:200") == []


async def test_saving(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7377 §2.2: only where the selected mailbox is the only one."""
    client, _ = await filled(world)
    await client.ok(b"SELECT INBOX")
    assert await client.ok(b"ESEARCH RETURN (SAVE) SUBJECT two") == []
    assert await client.ok(b"FETCH $ UID") == [b"* 2 FETCH (UID 2)"]
    assert await found(client, b"ESEARCH IN (selected) RETURN (SAVE MIN) ALL") == {"INBOX": b"MIN 1"}
    assert await client.ok(b"FETCH $ UID") == [b"* 1 FETCH (UID 1)"]
    assert (await client.refused(b"ESEARCH IN (inboxes) RETURN (SAVE) ALL")).startswith(b"a BAD ")
    assert await client.ok(b"ESEARCH RETURN (SAVE) SUBJECT none") == []
    assert await client.ok(b"FETCH $ UID") == []
    await client.ok(b"ESEARCH RETURN (SAVE) ALL")

    async def away(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(Search, "run", away)
        assert (await client.refused(b"ESEARCH RETURN (SAVE) ALL")).startswith(b"a NO [UNAVAILABLE]")
    assert await client.ok(b"FETCH $ UID") == [], "RFC 5182 §2.1: empty after a NO"


async def test_updates(world: World) -> None:
    """RFC 7377 §2.2: of the selected mailbox only."""
    client, account = await filled(world)
    assert (await client.refused(b"ESEARCH IN (personal) RETURN (UPDATE) ALL")).startswith(b"a BAD ")
    await client.ok(b"SELECT INBOX")
    command = b"ESEARCH IN (subtree a selected) RETURN (UPDATE COUNT) SUBJECT t"
    assert await found(client, command) == {"INBOX": b"COUNT 1"}
    await append(account, "INBOX", "three")
    await append(account, "a", "three")
    assert (await client.ok(b"NOOP"))[-1] == b'* ESEARCH (TAG "a" MAILBOX INBOX UIDVALIDITY %d) UID ADDTO (0 3)' % (
        account.mailbox("INBOX").uidvalidity
    )
    assert await client.refused(command) == b"a BAD Tag reuse"
    answer = await client.ask(b"ESEARCH IN (mailboxes a) RETURN (UPDATE COUNT) SUBJECT none", b"b")
    assert answer[0] == b'* NO [NOUPDATE "b"] The selected mailbox was not searched'
    assert len(await client.ask(b"ESEARCH RETURN (UPDATE COUNT) SUBJECT four", b"c")) == 1, "nothing is found yet"
    await append(account, "INBOX", "four")
    assert b'* ESEARCH (TAG "c" MAILBOX INBOX ' in (await client.ok(b"NOOP"))[-1]


async def test_partial_is_of_each(world: World) -> None:
    client, _ = await filled(world)
    assert await found(client, b"ESEARCH IN (inboxes subtree-one a) RETURN (CONTEXT PARTIAL 2:3) ALL") == {
        "INBOX": b"PARTIAL (2:3 2)",
        "a": b"PARTIAL (2:3 NIL)",
        "a/b": b"PARTIAL (2:3 NIL)",
    }


async def test_keys_of_every_kind(world: World) -> None:
    client, account = await filled(world)
    await account.store_flags(account.mailbox("a"), [1], "add", ["\\Flagged"])
    assert await found(client, b"ESEARCH IN (personal) FLAGGED") == {"a": b"ALL 1"}
    assert await found(client, b"ESEARCH IN (personal) TEXT a/b/c") == {"a/b/c": b"ALL 3"}
    assert await found(client, b"ESEARCH IN (personal) UID 5:*") == {
        "INBOX": b"ALL 2", "a": b"ALL 1", "a/b": b"ALL 2", "a/b/c": b"ALL 3", "ab": b"ALL 4", "z": b"ALL 5",
        '"&AOQ- b"': b"ALL 6",
    }  # fmt: skip
    told = await found(client, b"ESEARCH IN (mailboxes a) RETURN (COUNT) MODSEQ 1")
    assert told == {"a": b"COUNT 1 MODSEQ %d" % account.mailbox("a").highest_modseq}
    assert await found(client, b"ESEARCH IN (inboxes) RECENT") == {"INBOX": b"ALL 1:2"}
    await client.ok(b"SELECT INBOX")
    assert await found(client, b"ESEARCH IN (inboxes) RECENT") == {"INBOX": b"ALL 1:2"}, "nothing was claimed before"


async def test_names_in_utf8_and_no_numbers(world: World) -> None:
    client, _ = await filled(world)
    await client.ok(b"ENABLE IMAP4rev2 UIDONLY")
    assert await found(client, 'ESEARCH IN (mailboxes "ä b") ALL'.encode()) == {'"ä b"': b"ALL 6"}
    await client.ok(b"SELECT INBOX")
    assert await found(client, b"ESEARCH ALL") == {"INBOX": b"ALL 1:2"}
    for sources in (b"", b"IN (personal) "):
        assert b"UIDREQUIRED" in await client.refused(b"ESEARCH %bOR UID 1 2" % sources)


async def test_as_many_as_a_setting_says(make: MakeWorld) -> None:
    client, _ = await filled(await make(imap={"multisearch_mailboxes": 3}))
    assert await client.refused(b"ESEARCH IN (personal) ALL") == (
        b"a NO [LIMIT] More than 3 mailboxes are to be searched"
    )
    assert len(await found(client, b"ESEARCH IN (subtree a) ALL")) == 3


async def test_what_another_pod_did_is_found(world: World) -> None:
    client, _ = await filled(world)
    pod = await other_pod(world)
    theirs = await pod.account()
    await append(theirs, "Archive", "afar")
    assert await found(client, b"ESEARCH IN (personal) SUBJECT afar") == {"Archive": b"ALL 1"}
    theirs.release()
    await pod.services.store.close()
    pod.server.close()
    pod.services.auth.close()


async def test_mailboxes_that_others_share(world: World) -> None:
    """RFC 7377 §2.2: with the right "r", and "l" where they are not named; "personal" has none of them."""
    ann, account = await filled(world)
    bob = await world.login("bob")
    for name, rights in ((b"a", b"lr"), (b"a/b", b"l"), (b"ab", b"r")):
        await ann.ok(b"SETACL %b bob@example.org %b" % (name, rights))
    top = "Other Users/ann@example.org/"
    named = b'"%ba" "%ba/b" "%bab" "%bz"' % ((top.encode(),) * 4)
    assert list(await found(bob, b"ESEARCH IN (mailboxes (%b)) ALL" % named)) == [f'"{top}a"', f'"{top}ab"']
    assert list(await found(bob, b'ESEARCH IN (subtree "Other Users") ALL')) == [f'"{top}a"']
    assert await bob.ok(b"ESEARCH IN (personal) ALL") == []
    assert await bob.ok(b'ESEARCH IN (mailboxes "Other Users/nobody@example.org/a") ALL') == []
    await bob.ok(b'SUBSCRIBE "%ba"' % top.encode())
    assert await found(bob, b"ESEARCH IN (subscribed) SUBJECT a") == {f'"{top}a"': b"ALL 1"}
    await bob.ok(b'EXAMINE "%ba"' % top.encode())
    assert await found(bob, b"ESEARCH IN (selected personal) SUBJECT a") == {f'"{top}a"': b"ALL 1"}
    await ann.ok(b"DELETEACL ab bob@example.org")
    assert list(await found(bob, b"ESEARCH IN (mailboxes (%b)) ALL" % named)) == [f'"{top}a"']
    assert account.mailboxes.keys() >= {"a", "ab"}
