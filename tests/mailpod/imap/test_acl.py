"""RFC 4314's commands, and RFC 8440's LIST: the owner ann, and bob, with whom she shares."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.dialogue import MakeWorld, World, user

from mailpod.imap.commands.acl import expanded, shown
from mailpod.imap.lexer import BadCommand
from mailpod.store import RIGHTS

ALL = b"lrswipkxteacd"
ANN = b"Other Users/ann@example.org"


async def test_rights_are_set_added_and_taken(world: World) -> None:
    """RFC 4314 §3.1 and §3.3; c and d come with their members (§2.1.1)."""
    ann = await world.login()
    for change, after in ((b"lrswida", b"lrswitead"), (b"+k", b"lrswikteacd"), (b"-d", b"lrswikac")):
        await ann.ok(b"SETACL INBOX bob@example.org " + change)
        want = b"* ACL INBOX ann@example.org " + ALL + b" bob@example.org "
        assert await ann.ok(b"GETACL INBOX") == [want + after], change
    await ann.ok(b'SETACL INBOX BOB@example.ORG ""')
    assert await ann.ok(b"GETACL INBOX") == [b"* ACL INBOX ann@example.org " + ALL]


async def test_deleteacl_forgets_who_exists_or_not(world: World) -> None:
    ann = await world.login()
    await ann.ok(b"SETACL INBOX bob@example.org lr")
    await ann.ok(b"SETACL INBOX anyone l")
    await world.publish(user("ann"))
    world.services.directory.forget("bob@example.org")
    assert (await ann.ok(b"GETACL INBOX"))[0].endswith(b" anyone l bob@example.org lr")
    await ann.ok(b"DELETEACL INBOX bob@example.org")
    for nobody in (b"nobody@example.org", b"nobody"):
        await ann.ok(b"DELETEACL INBOX " + nobody)  # RFC 4314 §3.2: any pair, there may be none
    await ann.ok(b"DELETEACL INBOX ANYONE")
    assert await ann.ok(b"GETACL INBOX") == [b"* ACL INBOX ann@example.org " + ALL]


async def test_what_is_no_right_and_who_is_nobody(world: World) -> None:
    ann = await world.login()
    for rights in (b"lrQ", b"lrq", b"lr0", b"++l"):  # RFC 4314 §3.1: never ignored
        assert (await ann.refused(b"SETACL INBOX bob@example.org " + rights)).startswith(b"a BAD ")
    for who in (b"nobody@example.org", b"bob", b"bob@elsewhere.org", b"info@example.org"):
        assert (await ann.refused(b"SETACL INBOX %b l" % who)).startswith(b"a NO [CANNOT] There is no such user")
    for who in (b'""', b"{5+}\r\nbob\x01@"):  # RFC 4314 §3
        assert (await ann.refused(b"SETACL INBOX %b l" % who)).startswith(b"a BAD ")
    assert (await ann.refused(b"SETACL INBOX -bob@example.org l")).startswith(b"a NO [CANNOT] Negative rights")
    assert (await ann.refused(b"SETACL None bob@example.org l")).startswith(b"a NO [NONEXISTENT]")
    assert (await ann.refused(b"SETACL INBOX bob@example.org")).startswith(b"a BAD ")


async def test_deleted_with_its_mailbox(world: World) -> None:
    """RFC 4314 §4, DELETE; and RENAME, which takes it along."""
    ann = await world.login()
    await ann.ok(b"CREATE a")
    await ann.ok(b"SETACL a bob@example.org lr")
    await ann.ok(b"RENAME a b")
    assert await ann.ok(b"GETACL b") == [b"* ACL b ann@example.org " + ALL + b" bob@example.org lr"]
    await ann.ok(b"DELETE b")
    await ann.ok(b"CREATE b")
    assert await ann.ok(b"GETACL b") == [b"* ACL b ann@example.org " + ALL]


async def test_the_owner_has_all_rights_always(world: World) -> None:
    ann = await world.login()
    assert await ann.ok(b"LISTRIGHTS INBOX ann@example.org") == [b"* LISTRIGHTS INBOX ann@example.org " + ALL]
    assert await ann.ok(b"LISTRIGHTS INBOX bob@example.org") == [
        b'* LISTRIGHTS INBOX bob@example.org "" l r s w i p k x t e a c d'
    ]
    assert await ann.ok(b"LISTRIGHTS INBOX Anyone") == [b'* LISTRIGHTS INBOX Anyone "" l r s w i p k x t e a c d']
    assert await ann.ok(b"MYRIGHTS Sent") == [b"* MYRIGHTS Sent " + ALL]
    for command in (
        b"SETACL INBOX ann@example.org lr",
        b"SETACL INBOX ann@example.org -a",
        b"DELETEACL INBOX ann@example.org",
    ):
        assert (await ann.refused(command)).startswith(b"a NO [CANNOT] The owner of a mailbox has all rights")
    await ann.ok(b"SETACL INBOX ann@example.org lrswipkxtea")
    await ann.ok(b"SETACL INBOX ann@example.org +l")


async def test_a_list_tells_rights(world: World) -> None:
    """RFC 8440 §3: after the LIST of the same name, and not of what is no mailbox."""
    ann, bob = await world.login(), await world.login("bob")
    await ann.ok(b"CREATE Team/a")
    await ann.ok(b"SETACL Team/a bob@example.org lrs")
    assert await bob.ok(b'LIST "" "Other Users/*" RETURN (MYRIGHTS)') == [
        b'* LIST (\\NonExistent) "/" "%b"' % ANN,
        b'* LIST (\\NonExistent) "/" "%b/Team"' % ANN,
        b'* LIST () "/" "%b/Team/a"' % ANN,
        b'* MYRIGHTS "%b/Team/a" lrs' % ANN,
    ]
    assert (await bob.ok(b'LIST "" INBOX RETURN (MYRIGHTS)'))[-1] == b"* MYRIGHTS INBOX " + ALL


async def test_sharing_waits_for_the_last_pod_of_an_update(make: MakeWorld) -> None:
    """DECISIONS, "Format": what a pod cannot read is not written."""
    world = await make()
    world.reads = ()
    await world.publish(user("ann"), user("bob"))
    ann = await world.login()
    assert b"ACL" not in (await ann.ok(b"CAPABILITY"))[0]
    assert (await ann.refused(b"SETACL INBOX bob@example.org l")).startswith(b"a NO [UNAVAILABLE]")
    world.reads = ("grant",)
    await world.publish(user("ann"), user("bob"))
    world.services.directory._present.clear()
    await ann.ok(b"SETACL INBOX bob@example.org l")
    assert b" ACL RIGHTS=kxte LIST-MYRIGHTS" in (await (await world.login()).ok(b"CAPABILITY"))[0]


async def test_a_pipeline_sees_what_it_set(world: World) -> None:
    """RFC 4314 §5.1.1."""
    ann = await world.login()
    await ann.send(b"a SETACL INBOX bob@example.org lr\r\nb GETACL INBOX\r\n")
    assert (await ann.until(b"b"))[1].endswith(b" bob@example.org lr")


@given(st.text(alphabet=RIGHTS + "cdqZ1+-", max_size=16))
def test_rights_as_sent_and_as_shown(rights: str) -> None:
    try:
        given_ = expanded(rights)
    except BadCommand:
        assert set(rights) - set(RIGHTS + "cd")
        return
    told = shown("".join(right for right in RIGHTS if right in given_)).decode()
    assert set(rights) <= set(told) or not rights
    assert ("d" in told) == bool({"t", "e"} & set(given_)) and ("c" in told) == bool({"k", "x"} & set(given_))
