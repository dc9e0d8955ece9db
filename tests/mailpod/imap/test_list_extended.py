"""LIST-EXTENDED: RFC 5258, its own examples; LIST-STATUS: RFC 5819; CREATE-SPECIAL-USE: RFC 6154."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import Client, World

from mailpod.store import NewMessage


@pytest.fixture
async def client(world: World) -> Client:
    """RFC 5258 §5, examples 8 and 9, below one name."""
    client = await world.login()
    for name in (b"foo2/bar1", b"baz2/bar2", b"baz2/bar22", b"baz2/bar222", b"eps2/mamba", b"qux2/bar2"):
        await client.ok(b"CREATE %b" % name)
    for name in (b"foo2/bar1", b"foo2/bar2", b"baz2/bar2", b"baz2/bar22", b"baz2/bar222", b"eps2", b"eps2/mamba"):
        await client.ok(b"SUBSCRIBE %b" % name)
    return client


async def test_selection_and_return(client: Client) -> None:
    assert await client.ok(b'LIST (SUBSCRIBED) "" foo2/% RETURN (CHILDREN)') == [
        b'* LIST (\\HasNoChildren \\Subscribed) "/" foo2/bar1',
        b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" foo2/bar2',
    ]
    assert await client.ok(b'LIST "" (e% q%/%) RETURN (SUBSCRIBED)') == [
        b'* LIST (\\Subscribed) "/" eps2',
        b'* LIST () "/" qux2/bar2',
    ]
    assert await client.ok(b'LIST (REMOTE) "" eps2') == [b'* LIST () "/" eps2'], "there are none elsewhere"
    assert await client.ok(b'LIST () "" ""') == [], "no question for the delimiter in the extended form"


async def test_recursivematch(client: Client) -> None:
    assert await client.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" (b% e% f%)') == [
        b'* LIST () "/" baz2 ("CHILDINFO" ("SUBSCRIBED"))',
        b'* LIST (\\Subscribed) "/" eps2 ("CHILDINFO" ("SUBSCRIBED"))',
        b'* LIST () "/" foo2 ("CHILDINFO" ("SUBSCRIBED"))',
    ]
    assert await client.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" (eps2 eps2/*)') == [
        b'* LIST (\\Subscribed) "/" eps2 ("CHILDINFO" ("SUBSCRIBED"))',
        b'* LIST (\\Subscribed) "/" eps2/mamba',
    ], "RFC 5258 §3.1: whether what is below is listed itself or not"
    await client.ok(b"UNSUBSCRIBE eps2")
    # RFC 5258 §5, example 9: foo2 and baz2 are not named, for what is subscribed below them is
    await client.ok(b"UNSUBSCRIBE foo2/bar1")
    await client.ok(b"UNSUBSCRIBE baz2/bar222")
    assert await client.ok(b'LIST (RECURSIVEMATCH SUBSCRIBED) "" *2') == [
        b'* LIST (\\Subscribed) "/" baz2/bar2',
        b'* LIST (\\Subscribed) "/" baz2/bar22',
        b'* LIST () "/" eps2 ("CHILDINFO" ("SUBSCRIBED"))',
        b'* LIST (\\NonExistent \\Subscribed) "/" foo2/bar2',
    ]


async def test_recursivematch_of_names_that_only_imply(client: Client) -> None:
    await client.ok(b"SUBSCRIBE nowhere/deep/down")
    assert await client.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" n%/%') == [
        b'* LIST (\\NonExistent) "/" nowhere/deep ("CHILDINFO" ("SUBSCRIBED"))'
    ], "as LSUB tells it as \\Noselect"


async def test_refusals(client: Client) -> None:
    for wrong in (
        b'LIST (RECURSIVEMATCH) "" *',
        b'LIST (RECURSIVEMATCH REMOTE) "" *',
        b'LIST (FOO) "" *',
        b'LIST "" * RETURN (FOO)',
        b'LIST "" * RETURN (STATUS)',
        b'LIST "" * RETURN (STATUS ())',
        b'LIST "" ()',
    ):
        assert (await client.refused(wrong)).startswith(b"a BAD"), wrong


async def test_status(client: Client, world: World) -> None:
    account = await world.account()
    await account.append("Sent", [NewMessage(b"m")])
    await client.ok(b"SUBSCRIBE gone")
    await client.ok(b"SUBSCRIBE Sent")
    assert await client.ok(b'LIST (SUBSCRIBED) "" (Sent gone) RETURN (STATUS (MESSAGES UNSEEN))') == [
        b'* LIST (\\Sent \\Subscribed) "/" Sent',
        b"* STATUS Sent (MESSAGES 1 UNSEEN 1)",
        b'* LIST (\\NonExistent \\Subscribed) "/" gone',
    ]
    await client.ok(b"DELETE foo2")
    assert await client.ok(b'LIST "" foo2 RETURN (STATUS (MESSAGES) CHILDREN)') == [
        b'* LIST (\\NonExistent \\HasChildren) "/" foo2'
    ]
    assert await client.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" baz2 RETURN (STATUS (MESSAGES))') == [
        b'* LIST () "/" baz2 ("CHILDINFO" ("SUBSCRIBED"))'
    ], "RFC 5819 §2: not of what is listed for its children"


async def test_create_with_a_special_use(client: Client) -> None:
    assert (await client.refused(b"CREATE other (USE (\\Sent))")).startswith(b"a NO [USEATTR]")
    assert (await client.refused(b"CREATE other (USE (\\All))")).startswith(b"a NO [USEATTR]")
    await client.ok(b"DELETE Sent")
    assert (await client.refused(b"CREATE other (USE (\\Sent \\Trash))")).startswith(b"a NO [USEATTR]")
    await client.ok(b"CREATE other (USE (\\SENT))")
    assert await client.ok(b'LIST (SPECIAL-USE) "" o*') == [b'* LIST (\\Sent) "/" other']
    await client.ok(b"CREATE plain (USE ())")
    for wrong in (b"(FOO)", b"()", b"(USE)", b"(USE (Sent))", b"(USE (\\Sent)"):
        assert (await client.refused(b"CREATE x " + wrong)).startswith(b"a BAD")


async def test_the_special_use_survives_renaming(client: Client) -> None:
    await client.ok(b"RENAME Trash Bin")
    assert await client.ok(b'LIST (SPECIAL-USE) "" B%') == [b'* LIST (\\Trash) "/" Bin']
