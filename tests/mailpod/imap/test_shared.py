"""Mailboxes of others: ann shares, bob sees no more than she allows, whatever he asks for."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import MakeWorld, World, user
from tests.mailpod.imap.sharing import ANN, MESSAGE, TEAM, append, flags, shared


async def test_what_is_shared_is_listed_under_its_owner(world: World) -> None:
    ann, bob = await shared(world, b"lr")
    assert await bob.ok(b"NAMESPACE") == [b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL']
    assert [line for line in await bob.ok(b'LIST "" "*"') if b"Other" in line] == [
        b'* LIST (\\Noselect \\HasChildren) "/" "Other Users"',
        b'* LIST (\\Noselect \\HasChildren) "/" "%b"' % ANN,
        b'* LIST (\\HasNoChildren) "/" "%b"' % TEAM,
    ]
    assert [line for line in await bob.ok(b'LIST "" "%"') if b"Other" in line] == [
        b'* LIST (\\Noselect \\HasChildren) "/" "Other Users"'
    ]
    assert await bob.ok(b'LIST "%b/" "*"' % ANN) == [b'* LIST (\\HasNoChildren) "/" "%b"' % TEAM]
    assert not [line for line in await ann.ok(b'LIST "" "*"') if b"Other" in line]
    await ann.ok(b"DELETEACL Team bob@example.org")
    assert not [line for line in await bob.ok(b'LIST "" "*"') if b"Other" in line]


async def test_one_above_that_may_not_be_looked_up_is_as_if_it_were_not_there(world: World) -> None:
    """RFC 4314 §4."""
    ann, bob = await shared(world, b"")
    await ann.ok(b"CREATE Team/open")
    await ann.ok(b"SETACL Team/open bob@example.org lr")
    assert await bob.ok(b'LIST "" "%b*"' % TEAM) == [
        b'* LIST (\\Noselect \\HasChildren) "/" "%b"' % TEAM,
        b'* LIST (\\HasNoChildren) "/" "%b/open"' % TEAM,
    ]
    assert (await bob.refused(b'SELECT "%b"' % TEAM)).startswith(b"a NO [NONEXISTENT]")


COMMANDS = [
    b'SELECT "%b"', b'EXAMINE "%b"', b'STATUS "%b" (MESSAGES)', b'DELETE "%b"', b'RENAME "%b" Mine', b'GETACL "%b"',
    b'SETACL "%b" bob@example.org lr', b'DELETEACL "%b" bob@example.org', b'LISTRIGHTS "%b" bob@example.org',
    b'MYRIGHTS "%b"', b'GETQUOTAROOT "%b"', b'APPEND "%b" {4+}\r\nabcd', b'COPY 1 "%b"', b'MOVE 1 "%b"',
    b'REPLACE 1 "%b" {4+}\r\nabcd', b'GETMETADATA "%b" /shared/comment', b'SETMETADATA "%b" (/shared/comment "x")',
    b'SETMETADATA "%b" (/private/comment "x")',
]  # fmt: skip


async def test_no_answer_tells_what_may_not_be_looked_up(world: World) -> None:
    """RFC 4314 §6: of a mailbox that one may not look up, one that is not there, and owners who are not there."""
    ann, bob = await shared(world, b"")
    await append(bob, b"INBOX")
    others = [b"nobody@example.org/Team", b"x", b"bob@example.org/INBOX"]
    names = [TEAM, ANN + b"/None", *(b"Other Users/" + other for other in others)]
    for command in COMMANDS:
        answers = []
        for name in names:
            await bob.ok(b"SELECT INBOX")
            answer = [line for line in await bob.ask(command % name) if not line.startswith(b"* OK [CLOSED]")]
            answers.append([line.replace(name, b"NAME") for line in answer])
        assert answers == answers[:1] * len(names) and b"NO [NONEXISTENT]" in answers[0][-1], command
        await ann.ok(b"SETACL Team bob@example.org l")
        denied = (await bob.ask(command % TEAM))[-1]
        assert denied.startswith(b"a OK" if b"MYRIGHTS" in command else b"a NO [NOPERM]"), command
        await ann.ok(b'SETACL Team bob@example.org ""')


async def test_reading_needs_r_alone(world: World) -> None:
    """RFC 4314 §4, SELECT; §5.2: READ-ONLY."""
    _, bob = await shared(world, b"r")
    lines = await bob.ask(b'SELECT "%b"' % TEAM)
    assert lines[-1] == b"a OK [READ-ONLY] SELECT completed"
    assert b"* OK [PERMANENTFLAGS ()] None can be changed" in lines
    assert await bob.ok(b"FETCH 1 (FLAGS BODY[TEXT])") == [b"* 1 FETCH (FLAGS (\\Recent) BODY[TEXT] {6}\r\nbody\r\n)"]
    assert await bob.ok(b"SEARCH UNSEEN SUBJECT a") == [b"* SEARCH 1"]  # \Seen was not set
    assert await bob.ok(b'STATUS "%b" (MESSAGES UNSEEN)' % TEAM) == [b'* STATUS "%b" (MESSAGES 1 UNSEEN 1)' % TEAM]
    for command in (b"STORE 1 +FLAGS (\\Seen)", b"EXPUNGE", b"MOVE 1 INBOX", b"STORE 1 FLAGS ()"):
        assert (await bob.refused(command)).startswith(b"a NO [")
    await bob.ok(b"CLOSE")


@pytest.mark.parametrize(
    ("rights", "permanent"),
    [
        (b"lrs", b"\\Seen"),
        (b"lrt", b"\\Deleted"),
        (b"lrw", b"\\Answered \\Draft \\Flagged \\*"),
        (b"lrswt", b"\\Answered \\Deleted \\Draft \\Flagged \\Seen \\*"),
    ],
)
async def test_flags_that_may_be_changed_are_told_and_no_others_change(
    world: World, rights: bytes, permanent: bytes
) -> None:
    """RFC 4314 §4, STORE, and §5.1.1. Of several, those that may be are."""
    _, bob = await shared(world, rights)
    lines = await bob.ask(b'SELECT "%b"' % TEAM)
    assert lines[-1].startswith(b"a OK [READ-WRITE]")
    assert any(line.startswith(b"* OK [PERMANENTFLAGS (%b)]" % permanent) for line in lines)
    await bob.ok(b"STORE 1 +FLAGS (\\Seen \\Deleted \\Flagged)")
    got = (await bob.ok(b"FETCH 1 FLAGS"))[0]
    for right, flag in ((b"s", b"\\Seen"), (b"t", b"\\Deleted"), (b"w", b"\\Flagged")):
        assert (flag in got) == (right in rights)
    refused = next((flag for right, flag in ((b"s", b"\\Seen"), (b"w", b"\\Draft")) if right not in rights), None)
    if refused:
        assert (await bob.refused(b"STORE 1 +FLAGS (%b)" % refused)).startswith(b"a NO [NOPERM]")


async def test_flags_that_are_set_anew_leave_those_that_may_not_be_changed(world: World) -> None:
    ann, bob = await shared(world, b"lrw", flags=b"\\Seen \\Deleted \\Flagged old")
    await bob.ok(b'SELECT "%b"' % TEAM)
    assert (await bob.ok(b"STORE 1 FLAGS (\\Draft new)"))[-1].endswith(
        b"FETCH (FLAGS (\\Deleted \\Draft \\Recent \\Seen new))"
    )
    assert (await bob.ok(b"STORE 1 FLAGS.SILENT (\\Answered)")) == [
        b"* 1 FETCH (FLAGS (\\Answered \\Deleted \\Recent \\Seen))"  # not what the client would think
    ]
    await bob.ok(b"STORE 1 FLAGS ()")
    assert await flags(ann, b"Team") == [b"\\Deleted \\Seen"]


async def test_reading_with_s_sets_seen_for_all(world: World) -> None:
    ann, bob = await shared(world, b"lrs")
    await bob.ok(b'SELECT "%b"' % TEAM)
    await bob.ok(b"FETCH 1 BODY[]")
    assert await flags(ann, b"Team") == [b"\\Seen"]


async def test_append_keeps_the_flags_that_may_be_set(world: World) -> None:
    """RFC 4314 §4, the example; i alone lets one append into what one cannot see."""
    ann, bob = await shared(world, b"i", messages=0)
    assert await append(bob, TEAM, b"\\Draft \\Deleted \\Seen x") == [b"a OK Stored"]
    await ann.ok(b"SETACL Team bob@example.org rwis")
    await append(bob, TEAM, b"\\Draft \\Deleted \\Seen x")
    await ann.ok(b"SETACL Team bob@example.org rsti")
    await append(bob, TEAM, b"\\Draft \\Deleted \\Seen x")
    assert await flags(ann, b"Team") == [b"", b"\\Draft \\Seen x", b"\\Deleted \\Seen"]


async def test_no_uids_are_told_of_what_one_may_not_select(world: World) -> None:
    """RFC 4315 §3; with r they are."""
    ann, bob = await shared(world, b"i", messages=0)
    for rights, told in ((b"li", 0), (b"lir", 4)):
        await ann.ok(b"SETACL Team bob@example.org " + rights)
        for _ in range(3):
            await append(bob, b"INBOX")
        await bob.ok(b"SELECT INBOX")
        answers = await append(bob, TEAM)
        for command in (b'COPY 1 "%b"', b'MOVE 1 "%b"', b'REPLACE 1 "%b" {1+}\r\nx'):
            answers += await bob.ask(command % TEAM)
        assert sum(b"UID " in answer for answer in answers) == told
        assert sum(answer.startswith(b"a OK") for answer in answers) == 4
    assert len(await flags(ann, b"Team")) == 8


async def test_what_one_may_make_is_to_be_tried(world: World) -> None:
    """RFC 3501 §6.3.11, by the right k above it; hidden or not there is one answer."""
    ann, bob = await shared(world, b"lrk")
    await ann.ok(b"CREATE Team/hidden")
    await ann.ok(b"DELETEACL Team/hidden bob@example.org")
    await append(bob, b"INBOX")
    await bob.ok(b"SELECT INBOX")
    targets = (b'APPEND "%b" {1+}\r\nx', b'COPY 1 "%b"', b'MOVE 1 "%b"', b'REPLACE 1 "%b" {1+}\r\nx')
    for command in (*targets, b'APPEND "%b" CATENATE (TEXT {1+}\r\nx)'):
        for name in (TEAM + b"/new", TEAM + b"/hidden"):
            assert (await bob.refused(command % name)).startswith(b"a NO [TRYCREATE]"), command
        assert (await bob.refused(command % (ANN + b"/new"))).startswith(b"a NO [NONEXISTENT]"), command
        assert (await bob.refused(command % TEAM)).startswith(b"a NO [NOPERM]"), command


async def test_expunge_needs_e_and_close_goes_without(world: World) -> None:
    """RFC 4314 §4."""
    ann, bob = await shared(world, b"lrt", flags=b"\\Deleted")
    await bob.ok(b'SELECT "%b"' % TEAM)
    assert (await bob.refused(b"EXPUNGE")).startswith(b"a NO [NOPERM]")
    assert (await bob.refused(b"UID EXPUNGE 1")).startswith(b"a NO [NOPERM]")
    await bob.ok(b"CLOSE")
    assert await flags(ann, b"Team") == [b"\\Deleted"]
    await ann.ok(b"SETACL Team bob@example.org lre")
    await bob.ok(b'SELECT "%b"' % TEAM)
    assert await bob.ok(b"EXPUNGE") == [b"* 1 EXPUNGE"]
    assert await flags(ann, b"Team") == []


async def test_copies_and_moves_between_accounts(world: World) -> None:
    """STORE.md rule 11; RFC 6851 §4.2: MOVE needs t and e of the source."""
    ann, bob = await shared(world, b"lri", messages=2, flags=b"\\Seen \\Flagged")
    await bob.ok(b'SELECT "%b"' % TEAM)
    assert b"[COPYUID " in (await bob.ask(b"COPY 1:2 INBOX"))[-1]
    assert await flags(bob, b"INBOX") == [b"\\Flagged \\Seen"] * 2
    await bob.ok(b"SELECT INBOX")
    assert b" 1:2 3:4]" in (await bob.ask(b'UID COPY 1:2 "%b"' % TEAM))[-1]
    assert (await flags(ann, b"Team"))[2:] == [b"", b""]  # neither s nor w
    await bob.ok(b'SELECT "%b"' % TEAM)
    assert (await bob.refused(b"MOVE 1 Archive")).startswith(b"a NO [NOPERM]")
    await ann.ok(b"SETACL Team bob@example.org +te")
    moved = await bob.ok(b"MOVE 1:2 Archive")
    assert moved[0].startswith(b"* OK [COPYUID ") and moved[1:3] == [b"* 1 EXPUNGE", b"* 1 EXPUNGE"]
    assert await bob.ok(b"STATUS Archive (MESSAGES)") == [b"* STATUS Archive (MESSAGES 2)"]
    assert len(await flags(ann, b"Team")) == 2
    await bob.ok(b"SELECT Archive")
    assert (await bob.ok(b"FETCH 1 BODY.PEEK[]"))[0].endswith(MESSAGE + b")")
    assert (await bob.refused(b"MOVE 1 Nowhere")).startswith(b"a NO [TRYCREATE]")


async def test_copies_within_anothers_account_keep_only_flags_that_may_be_set(world: World) -> None:
    ann, bob = await shared(world, b"lr", flags=b"\\Seen \\Flagged")
    await ann.ok(b"CREATE Other")
    await ann.ok(b"SETACL Other bob@example.org liw")
    await bob.ok(b'SELECT "%b"' % TEAM)
    await bob.ok(b'COPY 1 "%b/Other"' % ANN)
    await ann.ok(b"SETACL Other bob@example.org liswt")
    await bob.ok(b'COPY 1 "%b/Other"' % ANN)
    assert await flags(ann, b"Other") == [b"\\Flagged", b"\\Flagged \\Seen"]


async def test_replace_in_anothers_mailbox(world: World) -> None:
    """RFC 8508 §4.1."""
    ann, bob = await shared(world, b"lrite")
    await bob.ok(b'SELECT "%b"' % TEAM)
    await bob.ok(b'REPLACE 1 "%b" (\\Seen) {%d+}\r\n%b' % (TEAM, len(MESSAGE), MESSAGE))
    assert await flags(ann, b"Team") == [b""]
    await bob.ok(b"UID REPLACE 2 INBOX {%d+}\r\n%b" % (len(MESSAGE), MESSAGE))
    assert await flags(ann, b"Team") == [] and len(await flags(bob, b"INBOX")) == 1


async def test_mailboxes_are_made_renamed_and_deleted_as_far_as_allowed(world: World) -> None:
    """RFC 4314 §4."""
    ann, bob = await shared(world, b"lr")
    assert (await bob.refused(b'CREATE "%b/new"' % TEAM)).startswith(b"a NO [NOPERM]")
    await ann.ok(b"SETACL Team bob@example.org +k")
    assert b"MAILBOXID" in (await bob.ask(b'CREATE "%b/new/er"' % TEAM))[-1]
    assert await bob.ok(b'MYRIGHTS "%b/new/er"' % TEAM) == [b'* MYRIGHTS "%b/new/er" lrkc' % TEAM]  # inherited
    assert (await bob.refused(b'CREATE "%b/top"' % ANN)).startswith(b"a NO [NOPERM]")
    assert (await bob.refused(b'RENAME "%b/new" "%b/old"' % (TEAM, TEAM))).startswith(b"a NO [NOPERM]")
    await ann.ok(b"SETACL Team/new bob@example.org +x")
    assert (await bob.refused(b'RENAME "%b/new" "%b/old"' % (TEAM, TEAM))).startswith(
        b"a NO [NOPERM]"
    )  # new/er has no x
    await ann.ok(b"DELETEACL Team/new/er bob@example.org")
    assert (await bob.refused(b'RENAME "%b/new" "%b/old"' % (TEAM, TEAM))).startswith(b"a NO [NOPERM]")
    await ann.ok(b"SETACL Team/new/er bob@example.org +x")
    await bob.ok(b'RENAME "%b/new" "%b/old"' % (TEAM, TEAM))
    assert (await bob.refused(b'RENAME "%b/old" Mine' % TEAM)).startswith(b"a NO [CANNOT]")
    assert (await bob.refused(b'RENAME Sent "%b/Sent"' % TEAM)).startswith(b"a NO [CANNOT]")
    await bob.ok(b'DELETE "%b/old/er"' % TEAM)
    assert (await bob.refused(b'DELETE "%b"' % TEAM)).startswith(b"a NO [NOPERM]")
    for name in (b"Other Users", b"Other Users/mine"):
        assert (await bob.refused(b'CREATE "%b"' % name)).startswith(b"a NO ")
    names = [line.rpartition(b" ")[2] for line in await ann.ok(b'LIST "" "Team*"')]
    assert names == [b"Team", b"Team/old"]


async def test_a_mailbox_that_cannot_be_looked_up_is_not_told_by_create(world: World) -> None:
    ann, bob = await shared(world, b"lrk")
    await ann.ok(b"CREATE Team/hidden")
    await ann.ok(b"DELETEACL Team/hidden bob@example.org")
    assert (await bob.refused(b'CREATE "%b/hidden"' % TEAM)).startswith(b"a NO [NOPERM]")
    assert (await bob.refused(b'CREATE "%b/hidden/x"' % TEAM)).startswith(b"a NO [NOPERM]")


async def test_subscriptions_are_the_users_own(world: World) -> None:
    _, bob = await shared(world, b"lr")
    await bob.ok(b'SUBSCRIBE "%b"' % TEAM)
    assert b'* LSUB () "/" "%b"' % TEAM in await bob.ok(b'LSUB "" "*"')
    assert b'* LIST (\\Subscribed) "/" "%b"' % TEAM in await bob.ok(b'LIST (SUBSCRIBED) "" "Other*"')
    await bob.ok(b'UNSUBSCRIBE "%b"' % TEAM)
    assert await bob.ok(b'LSUB "" "Other*"') == []


async def test_the_quota_is_the_owners(make: MakeWorld) -> None:
    world = await make()
    await world.publish(user("ann", quota_bytes=4096), user("bob", quota_messages=5))
    ann, bob = await shared(world, b"lri")
    root = b'"%b"' % ANN
    quota = b'* QUOTA "%b" (STORAGE 1 4)' % ANN
    assert await bob.ok(b'GETQUOTAROOT "%b"' % TEAM) == [b'* QUOTAROOT "%b" %b' % (TEAM, root), quota]
    assert await bob.ok(b"GETQUOTA " + root) == [quota]
    big = MESSAGE + b"x" * 5000
    assert (await append(bob, TEAM, message=big))[-1].startswith(b"a NO [OVERQUOTA]")
    await append(bob, b"INBOX", message=big)
    await bob.ok(b"SELECT INBOX")
    assert (await bob.refused(b'COPY 1 "%b"' % TEAM)).startswith(b"a NO [OVERQUOTA]")
    await ann.ok(b"SETACL Team bob@example.org l")
    assert (await bob.refused(b"GETQUOTA " + root)).startswith(b"a NO [NONEXISTENT]")


async def test_everybody_of_the_domain_is_anyone(world: World) -> None:
    ann, bob = await shared(world, b"s")
    await ann.ok(b"SETACL Team anyone lr")
    assert await bob.ok(b'MYRIGHTS "%b"' % TEAM) == [b'* MYRIGHTS "%b" lrs' % TEAM]  # they add up
    assert [line for line in await bob.ok(b'LIST "" "*"') if TEAM in line]
    await bob.ok(b'SELECT "%b"' % TEAM)


async def test_another_who_administers_shares_on(world: World) -> None:
    """RFC 4314 §2.1, a."""
    await world.publish(user("ann"), user("bob"), user("eve"))
    _, bob = await shared(world, b"lra")
    await bob.ok(b'SETACL "%b" eve@example.org lr' % TEAM)
    assert await bob.ok(b'GETACL "%b"' % TEAM) == [
        b'* ACL "%b" ann@example.org lrswipkxteacd bob@example.org lra eve@example.org lr' % TEAM
    ]
    eve = await world.login("eve")
    assert [line for line in await eve.ok(b'LIST "" "*"') if TEAM in line]
    assert (await eve.refused(b'SETACL "%b" eve@example.org +a' % TEAM)).startswith(b"a NO [NOPERM]")


async def test_a_mailbox_of_ones_own_with_such_a_name_stays_reachable(world: World) -> None:
    """From before there was sharing."""
    account = await world.account()
    await account.create("Other Users/old")
    ann = await world.login()
    await ann.ok(b'SELECT "Other Users/old"')
    assert [line for line in await ann.ok(b'LIST "" "*"') if b"Other Users/old" in line]
    await ann.ok(b'RENAME "Other Users/old" old')
    await ann.ok(b"SELECT old")
    account.release()


async def test_multisearch_names_a_shared_mailbox_as_the_client_does(world: World) -> None:
    _, bob = await shared(world, b"lr")
    await bob.ok(b'SELECT "%b"' % TEAM)
    found = await bob.ok(b"ESEARCH IN (selected) ALL")
    assert len(found) == 1 and b'MAILBOX "%b"' % TEAM in found[0]
