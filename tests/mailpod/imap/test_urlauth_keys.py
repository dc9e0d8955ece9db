"""URLAUTH's keys: how long what was authorized stays so (RFC 4467 §2.2, §7)."""

from __future__ import annotations

from tests.mailpod.imap.authorizing import HERE, ann, authorized, drafts, opens
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, end_world, other_pod, user

__all__ = ["ann"]


async def test_a_key_is_made_once_and_kept(ann: Client, world: World) -> None:
    """RFC 4467 §7, GENURLAUTH: the same URL again costs no commit, at whatever pod."""
    url = await drafts(ann)
    head = (await world.account()).head
    assert await drafts(ann) == url
    there = await other_pod(world)
    assert await drafts(await there.login()) == url
    assert (await world.account()).head == head
    await end_world(there)


async def test_resetkey_of_a_mailbox(ann: Client, world: World) -> None:
    bob, url = await world.login("bob"), await drafts(ann)
    sent = await authorized(ann, b"%b/Sent/;UID=1;URLAUTH=authuser" % HERE)
    await ann.ok(b"APPEND Sent {1+}\r\nx")
    head = (await world.account()).head
    assert await ann.ask(b"RESETKEY Drafts") == [b"a OK [URLMECH INTERNAL] RESETKEY completed"]
    assert (await world.account()).head == head + 1
    assert (await opens(bob, url), await opens(bob, sent)) == (False, True)
    assert await opens(bob, await drafts(ann))
    assert (await ann.refused(b"RESETKEY None")).startswith(b"a NO [NONEXISTENT] ")


async def test_resetkey_of_all(ann: Client, world: World) -> None:
    bob, url = await world.login("bob"), await drafts(ann)
    assert await ann.ask(b"RESETKEY") == [b"a OK RESETKEY completed"]
    assert not await opens(bob, url)
    head = (await world.account()).head
    await ann.ok(b"RESETKEY")
    assert (await world.account()).head == head, "nothing to forget is no commit"
    assert await drafts(ann) != url


async def test_another_pod_knows_at_once(ann: Client, world: World) -> None:
    """Without hints between them: what RESETKEY was answered for opens nowhere any more."""
    there = await other_pod(world)
    bob, url = await there.login("bob"), await drafts(ann)
    assert await opens(bob, url)
    await ann.ok(b"RESETKEY Drafts")
    assert not await opens(bob, url)
    assert await opens(bob, await drafts(ann))
    await end_world(there)


async def test_sessions_with_the_mailbox_selected_are_told(ann: Client, world: World) -> None:
    """RFC 4467 §7, RESETKEY: any of the user's; none of another's, though the mailbox be shared."""
    await drafts(ann)
    await ann.ok(b"SETACL Drafts bob@example.org lr")
    idle, bob = await world.login(select="Drafts"), await world.login("bob")
    assert not any(b"URLMECH" in line for line in await bob.ok(b'SELECT "Other Users/ann@example.org/Drafts"'))
    await idle.send(b"i IDLE\r\n")
    assert (await idle.line()).startswith(b"+ ")
    await ann.ok(b"RESETKEY Drafts")
    assert await idle.line() == b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH"
    assert await bob.ok(b"NOOP") == []
    await ann.ok(b"SELECT Drafts")
    assert await ann.ok(b"RESETKEY Sent") == []
    assert await ann.ask(b"RESETKEY Drafts") == [
        b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH",
        b"a OK [URLMECH INTERNAL] RESETKEY completed",
    ]
    assert await ann.ok(b"NOOP") == []


async def test_renamed_deleted_and_made_again(ann: Client, world: World) -> None:
    """The key is the mailbox's, whatever it is called; UIDs of another are not opened by it."""
    bob = await world.login("bob")
    await ann.ok(b"RENAME Drafts Old")
    url = await authorized(ann, b"%b/Old/;UID=1;URLAUTH=authuser" % HERE)
    await ann.ok(b"RENAME Old New")
    assert not await opens(bob, url)
    await ann.ok(b"CREATE Old")
    await ann.ok(b"APPEND Old {1+}\r\nx")
    assert not await opens(bob, url)
    await authorized(ann, b"%b/Old/;UID=1;URLAUTH=authuser" % HERE)
    assert not await opens(bob, url)
    await ann.ok(b"DELETE Old")
    await ann.ok(b"RENAME New Old")
    assert await opens(bob, url)
    await ann.ok(b"SELECT Old")
    await ann.ok(b"STORE 1 +FLAGS (\\Deleted)")
    await ann.ok(b"EXPUNGE")
    assert not await opens(bob, url)


async def test_a_key_waits_for_the_last_pod_of_an_update(make: MakeWorld) -> None:
    """DECISIONS, "Format": what a pod cannot read is not written, and not offered."""
    world = await make()
    world.reads = ("annotate", "grant")
    await world.publish(user("ann"), user("bob"))
    ann = await world.login()
    assert b"URLAUTH" not in (await ann.ok(b"CAPABILITY"))[0]
    assert not any(b"URLMECH" in line for line in await ann.ok(b"SELECT Drafts"))
    for command in (b'GENURLAUTH "%b/Drafts/;UID=1;URLAUTH=authuser" INTERNAL' % HERE, b"RESETKEY", b"RESETKEY Drafts"):
        assert (await ann.refused(command)).startswith(b"a NO [UNAVAILABLE] ")
    world.reads = ("annotate", "grant", "urlkey")
    await world.publish(user("ann"), user("bob"))
    world.services.directory._present.clear()
    await drafts(ann)
    assert b" URLAUTH URLAUTH=BINARY " in (await (await world.login()).ok(b"CAPABILITY"))[0]
