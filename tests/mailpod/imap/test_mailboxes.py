"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE: RFC 3501 §6.3.3 to §6.3.7, §5.1; LSUB: §6.3.9."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import Client, World

from mailpod.store import NewMessage


async def names(client: Client, pattern: bytes = b"*") -> list[bytes]:
    return [line.rpartition(b' "/" ')[2] for line in await client.ok(b'LIST "" ' + pattern)]


async def test_create_with_its_superiors(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE a/b/c")
    assert await names(client, b"a*") == [b"a", b"a/b", b"a/b/c"]
    assert await client.refused(b"CREATE a/b") == b"a NO [ALREADYEXISTS] Mailbox already exists: a/b"
    await client.ok(b"CREATE d/")
    assert await names(client, b"d*") == [b"d"]
    await client.ok(b"CREATE inbox/x")
    assert await names(client, b"INBOX*") == [b"INBOX", b"INBOX/x"]
    assert (await client.refused(b"CREATE InBox")).startswith(b"a NO [ALREADYEXISTS]")


@pytest.mark.parametrize(
    "name", [b'""', b"/a", b"a//b", b'"a%"', b'"a*b"', b"&AAo-", b"x" * 1001, b"/".join([b"x"] * 60), b"a//"]
)
async def test_names_that_cannot_be(world: World, name: bytes) -> None:
    client = await world.login()
    assert (await client.refused(b"CREATE " + name)).startswith(b"a NO [CANNOT]")
    assert (await client.refused(b"RENAME Sent " + name)).startswith(b"a NO [CANNOT]")


@pytest.mark.parametrize("name", [b"a&b", b"&Jjo", b"&AGE-", b"&AGEA-", b"{1+}\r\n\xfc", b"&-&"])
async def test_bad_utf7(world: World, name: bytes) -> None:
    client = await world.login()
    assert (await client.refused(b"CREATE " + name)) == b"a BAD Mailbox name is not valid modified UTF-7"


async def test_a_name_in_utf8_is_the_same_name(world: World) -> None:
    """go-imap 2 sends UTF-8 to a server that offers IMAP4rev2, enabled or not."""
    client = await world.login()
    await client.ok('CREATE "Café &- Läden"'.encode())
    await client.ok('SUBSCRIBE "Café &- Läden"'.encode())
    assert await client.ok('LIST "" "Café*"'.encode()) == [b'* LIST (\\HasNoChildren) "/" "Caf&AOk- &- L&AOQ-den"']
    assert await client.ok(b'STATUS "Caf&AOk- &- L&AOQ-den" (MESSAGES)') == [
        b'* STATUS "Caf&AOk- &- L&AOQ-den" (MESSAGES 0)'
    ]


async def test_names_of_the_world(world: World) -> None:
    client = await world.login()
    for name in (
        b"&Jjo-",
        b"&U,BTFw-/&ZeVnLIqe-",
        b"a&-b",
        b'"with space"',
        b'"qu\\"ote\\\\"',
        b'"NIL"',
        b'"(x)"',
        b"a]b",
    ):
        await client.ok(b"CREATE " + name)
        assert name in await names(client)
        await client.ok(b"SELECT " + name)


async def test_delete(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE a/b")
    await client.ok(b"DELETE a")
    assert await client.ok(b'LIST "" a*') == [
        b'* LIST (\\Noselect \\HasChildren) "/" a',
        b'* LIST (\\HasNoChildren) "/" a/b',
    ]
    assert (await client.refused(b"SELECT a")).startswith(b"a NO [NONEXISTENT]")
    assert (await client.refused(b"DELETE a")).startswith(b"a NO [HASCHILDREN] ")  # RFC 9051 §6.3.5
    await client.ok(b"DELETE a/b")
    assert await names(client, b"a*") == []
    assert (await client.refused(b"DELETE inbox")).startswith(b"a NO [CANNOT]")
    assert (await client.refused(b"DELETE nowhere")).startswith(b"a NO [NONEXISTENT]")


async def test_delete_what_is_selected(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE a")
    await client.ok(b"SELECT a")
    await client.ok(b"DELETE a")
    assert (await client.refused(b"CHECK")).startswith(b"a BAD")
    await client.ok(b"SELECT INBOX")


async def test_a_new_mailbox_of_an_old_name_has_another_uidvalidity(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE a")
    first = await client.ok(b"STATUS a (UIDVALIDITY)")
    await client.ok(b"DELETE a")
    await client.ok(b"CREATE a")
    assert await client.ok(b"STATUS a (UIDVALIDITY)") != first


async def test_rename_takes_the_inferiors_along(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE a/b/c")
    await client.ok(b"RENAME a x/y")
    assert await names(client, b"a*") == []
    assert await names(client, b"x*") == [b"x", b"x/y", b"x/y/b", b"x/y/b/c"]
    assert (await client.refused(b"RENAME x Sent")).startswith(b"a NO [ALREADYEXISTS]")
    assert (await client.refused(b"RENAME x x/y/z")).startswith(b"a NO [CANNOT]")
    assert (await client.refused(b"RENAME nowhere z")).startswith(b"a NO [NONEXISTENT]")


async def test_rename_inbox_moves_its_messages(world: World) -> None:
    """RFC 3501 §6.3.5: INBOX stays, empty, and so do its inferiors."""
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"a")])
    client = await world.login()
    await client.ok(b"CREATE INBOX/child")
    await client.ok(b"RENAME INBOX old")
    assert await client.ok(b"STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
    assert await client.ok(b"STATUS old (MESSAGES)") == [b"* STATUS old (MESSAGES 1)"]
    assert await names(client, b"INBOX*") == [b"INBOX", b"INBOX/child"]


async def test_subscriptions_outlive_their_mailboxes(world: World) -> None:
    client = await world.login()
    await client.ok(b"SUBSCRIBE later/on")
    await client.ok(b"SUBSCRIBE later/on")
    first = [b'* LSUB () "/" %b' % name for name in (b"INBOX", b"Archive", b"Drafts", b"Junk", b"Sent", b"Trash")]
    assert await client.ok(b'LSUB "" *') == [*first, b'* LSUB () "/" later/on']
    await client.ok(b"UNSUBSCRIBE Trash")
    await client.ok(b"UNSUBSCRIBE Trash")
    assert await client.ok(b'LSUB "" %') == [*first[:-1], b'* LSUB (\\Noselect) "/" later']  # RFC 3501 §6.3.9
    assert await client.ok(b'LSUB "" "lat*r"') == [], "only with %"
    assert (await client.refused(b"SUBSCRIBE a//b")).startswith(b"a NO [CANNOT]")
