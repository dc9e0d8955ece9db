"""NOTIFY, of mailboxes of others: told is what the rights allow, and nothing once they are gone (RFC 5465 §5)."""

from __future__ import annotations

import msgspec
import pytest
from tests.mailpod.imap.dialogue import World, eventually, other_pod, user
from tests.mailpod.imap.telling import MESSAGES, nothing_more, told

TEAM = b'"Other Users/ann@example.org/Team"'
EVENTS = b"(MessageNew MessageExpunge MailboxName MailboxMetadataChange)"


async def test_annotations_of_a_selected_mailbox_of_another(world: World) -> None:
    """RFC 5464 §4.4: what is shared, as others change it; once, where NOTIFY watches the mailbox, too."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lrw", b'SETMETADATA Team (/shared/a "before")'):
        await ann.ok(command)
    await bob.ok(b"ENABLE METADATA")
    await bob.ok(b"SELECT %b" % TEAM)
    await ann.ok(b'SETMETADATA Team (/shared/comment "x" /private/comment "hers")')
    assert await bob.ok(b"NOOP") == [b"* METADATA %b /shared/comment" % TEAM]
    assert await bob.ok(b'SETMETADATA %b (/shared/b "mine")' % TEAM) == []
    await bob.send(b"i IDLE\r\n")
    assert await bob.line() == b"+ idling"
    await ann.ok(b"SETMETADATA Team (/shared/a NIL)")
    assert await bob.line() == b"* METADATA %b /shared/a" % TEAM
    await bob.send(b"DONE\r\n")
    assert (await bob.line()).startswith(b"i OK")
    await ann.ok(b"SETACL Team bob@example.org r")
    await ann.ok(b'SETMETADATA Team (/shared/c "secret")')
    assert not any(b"METADATA" in line for line in await bob.ok(b"NOOP"))
    await ann.ok(b"SETACL Team bob@example.org lr")
    assert (await bob.ok(b"NOOP"))[-1] == b"* METADATA %b /shared/c" % TEAM
    await bob.ok(b"NOTIFY SET (mailboxes %b %b)" % (TEAM, EVENTS))
    await ann.ok(b'SETMETADATA Team (/shared/d "e")')
    assert await told(bob, 1) == [b"* METADATA %b /shared/d" % TEAM]
    await nothing_more(bob)


@pytest.mark.parametrize("mailboxes", [b'subtree "Other Users"', b"mailboxes %b" % TEAM, b"subscribed"])
async def test_mailboxes_of_others(world: World, mailboxes: bytes) -> None:
    """RFC 5465 §5, §5.4: with `l` and `r`; taking `l` is a deletion, and nothing is told after it."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"CREATE Mine", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b"SUBSCRIBE %b" % TEAM)
    first = await bob.ok(b"NOTIFY SET STATUS (%b %b)" % (mailboxes, EVENTS))
    assert next(line for line in first if b"Other" in line).startswith(b"* STATUS %b (MESSAGES 0 UIDNEXT 1 " % TEAM)
    await ann.ok(b"APPEND Mine {1+}\r\nx")
    await ann.ok(b"APPEND Team {1+}\r\nx")
    assert (await bob.line()).startswith(b"* STATUS %b (MESSAGES 1 UIDNEXT 2 " % TEAM)
    await ann.ok(b'SETMETADATA Team (/private/comment "mine")')
    await ann.ok(b'SETMETADATA Team (/shared/comment "ours")')
    assert await bob.line() == b"* METADATA %b /shared/comment" % TEAM
    await ann.ok(b"SETACL Team bob@example.org l")
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await nothing_more(bob)
    await ann.ok(b"SETACL Team bob@example.org lr")
    assert (await bob.line()).startswith(b"* STATUS %b (MESSAGES 2 UIDNEXT 3 " % TEAM)
    await ann.ok(b"DELETEACL Team bob@example.org")
    gone = await bob.line()
    assert gone.startswith(b"* LIST (\\NonExistent ") and gone.endswith(TEAM)
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await ann.ok(b"DELETE Team")
    while line := await bob.ok(b"NOOP"):
        assert not [each for each in line if b"STATUS" in each]
    await bob.ok(b"NOTIFY NONE")
    assert not world.services.registry._guests and not len(world.services.followers)


async def test_what_another_s_inbox_is_renamed_to(world: World) -> None:
    """The old name is for those who may see it."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b'NOTIFY SET (subtree "Other Users/ann@example.org/Team" (MailboxName))')
    lines = []
    for command in (b"RENAME INBOX Team/one", b"SETACL INBOX bob@example.org l", b"RENAME INBOX Team/two"):
        await ann.ok(command)
        if command.startswith(b"RENAME"):
            lines += await told(bob, 2)
    ends = [line.partition(b"Team/")[2] for line in lines]
    assert ends == [b'one"', b"", b'two" ("OLDNAME" ("Other Users/ann@example.org/INBOX"))', b""]
    await nothing_more(bob)


async def test_mailboxes_of_others_that_are_subscribed_to_later(world: World) -> None:
    """RFC 5465 §6.4: by this client, or between its commands."""
    ann, bob, account = await world.login(), await world.login("bob"), await world.account("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    for subscribe in (bob.ok(b"SUBSCRIBE %b" % TEAM), account.subscribe(TEAM.decode().strip('"'))):
        await bob.ok(b"UNSUBSCRIBE %b" % TEAM)
        await bob.ok(b"NOTIFY SET (subscribed %b)" % MESSAGES)
        assert not world.services.registry._guests
        await subscribe
        await eventually(lambda: len(world.services.registry._guests) == 1)
        await ann.ok(b"APPEND Team {1+}\r\nx")
        assert (await bob.line()).startswith(b"* STATUS %b (MESSAGES " % TEAM)
        await bob.ok(b"UNSUBSCRIBE %b" % TEAM)
        await ann.ok(b"APPEND Team {1+}\r\nx")
        await nothing_more(bob)
    await bob.ok(b"NOTIFY NONE")
    assert not world.services.registry._guests and not len(world.services.followers)


async def test_the_right_to_look_up_goes_and_comes_back(world: World) -> None:
    """RFC 5465 §5.9: told whatever the events; and no word of what was never to be seen."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"CREATE Mine", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b'NOTIFY SET (mailboxes %b %b) (subtree "Other Users" (SubscriptionChange))' % (TEAM, MESSAGES))
    await ann.ok(b"DELETEACL Team bob@example.org")
    assert await bob.line() == b'* LIST (\\NonExistent \\HasNoChildren \\NoAccess) "/" %b' % TEAM
    await (await world.account("bob")).subscribe("Other Users/ann@example.org/Mine")
    secret = b'"Other Users/ann@example.org/Mine"'
    assert await bob.line() == b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" %b' % secret
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await ann.ok(b"SETACL Team bob@example.org lr")
    again = await told(bob, 2)
    assert again[0] == b'* LIST (\\HasNoChildren) "/" %b' % TEAM
    assert again[1].startswith(b"* STATUS %b (MESSAGES 1 " % TEAM)


async def test_a_mailbox_of_anothers_that_may_not_be_read(world: World) -> None:
    """RFC 5465 §3.1: \\NoAccess where it may be looked up, and not a word where it may not."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"CREATE Mine", b"SETACL Team bob@example.org l", b"SETACL Mine bob@example.org r"):
        await ann.ok(command)
    command = b'NOTIFY SET STATUS (subtree "Other Users" %b)' % EVENTS
    assert await bob.ok(command) == [b'* LIST (\\NoAccess) "/" %b' % TEAM]
    await ann.ok(b"APPEND Mine {1+}\r\nx")
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await nothing_more(bob)
    bob.close()
    await eventually(lambda: not world.services.registry._guests and not len(world.services.followers))


async def test_of_anothers_selected_mailbox_set_is_a_noop_too(world: World) -> None:
    """RFC 5465 §3.1: as fresh as NOOP."""
    ann, bob = await (await other_pod(world)).login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b"SELECT %b" % TEAM)
    await ann.ok(b"APPEND Team {1+}\r\nx")
    assert (await bob.ok(b"NOTIFY SET (selected %b)" % MESSAGES))[0] == b"* 1 EXISTS"
    await ann.ok(b"DELETEACL Team bob@example.org")
    await bob.send(b"a NOTIFY SET (selected %b)\r\n" % MESSAGES)
    assert (await bob.line()).startswith(b"* BYE")


async def test_a_suspended_owner_ends_it(world: World) -> None:
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b"NOTIFY SET (mailboxes %b %b)" % (TEAM, MESSAGES))
    entry = await world.services.directory.lookup("bob@example.org")
    assert entry is not None
    await world.publish(user("ann", suspended=True), msgspec.structs.replace(entry, version=0))
    world.services.directory.forget("ann@example.org")
    await world.services.registry.sweep()
    assert (await bob.line()).startswith(b"* BYE")
