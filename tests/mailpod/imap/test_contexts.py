"""CONTEXT=SEARCH and CONTEXT=SORT: RFC 5267."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import MakeWorld, World, eventually, other_pod
from tests.mailpod.imap.following import deliver, filled, updates

from mailpod.errors import Unavailable
from mailpod.imap.search import Search


async def test_what_comes_and_goes(world: World) -> None:
    client, account = await filled(world, "one", "two", "three")
    assert await client.ok(b"UID SEARCH RETURN (UPDATE COUNT) UNSEEN") == [b'* ESEARCH (TAG "a") UID COUNT 3']
    box = account.mailbox("INBOX")
    await account.store_flags(box, [2], "add", ["\\Seen"])
    assert await updates(client) == [
        b"2 FETCH (FLAGS (\\Recent \\Seen))",
        b'ESEARCH (TAG "a") UID REMOVEFROM (0 2)',
    ]
    await deliver(account, "four", "five")
    await deliver(account, "read", flags=("\\Seen",))
    await account.store_flags(box, [2], "remove", ["\\Seen"])
    told = await updates(client)
    assert told[0] == b"6 EXISTS", "RFC 5267 §4.3.3: ADDTO comes after EXISTS"
    assert told[-1] == b'ESEARCH (TAG "a") UID ADDTO (0 2,4:5)'
    await account.expunge(box, [1, 3])
    assert await updates(client) == [
        b'ESEARCH (TAG "a") UID REMOVEFROM (0 1,3)',
        b"1 EXPUNGE",
        b"2 EXPUNGE",
    ], "RFC 5267 §4.3.4: REMOVEFROM comes before EXPUNGE"
    assert await updates(client) == []


async def test_a_clients_own_changes(world: World) -> None:
    client, _ = await filled(world, "one", "two", "three")
    await client.ok(b"SEARCH RETURN (UPDATE) UNSEEN")
    assert await updates(client, b"STORE 1 +FLAGS.SILENT (\\Seen)") == [b'ESEARCH (TAG "a") REMOVEFROM (0 1)']
    assert (await updates(client, b"FETCH 3 BODY[TEXT]"))[-1] == b'ESEARCH (TAG "a") REMOVEFROM (0 3)'
    await client.ok(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert await updates(client, b"EXPUNGE") == [b'ESEARCH (TAG "a") REMOVEFROM (0 2)', b"2 EXPUNGE"]
    assert await updates(client, b"STORE 2 -FLAGS.SILENT (\\Seen)") == [b'ESEARCH (TAG "a") ADDTO (0 2)']


async def test_numbers_are_those_of_the_moment(world: World) -> None:
    """RFC 5267 §4.3.2, §4.3.4: message numbers where the search gave them, before the EXPUNGE that changes them."""
    client, account = await filled(world, *"12345")
    assert await client.ok(b"SEARCH RETURN (ALL UPDATE) UNDELETED") == [b'* ESEARCH (TAG "a") ALL 1:5']
    await account.expunge(account.mailbox("INBOX"), [1, 2, 4])
    await deliver(account, "6")
    assert [line for line in await updates(client) if b"FETCH" not in line] == [
        b'ESEARCH (TAG "a") REMOVEFROM (0 1:2,4)',
        *(b"1 EXPUNGE", b"1 EXPUNGE", b"2 EXPUNGE", b"3 EXISTS"),
        b'ESEARCH (TAG "a") ADDTO (0 3)',
    ]


async def test_held_back_expunges(world: World) -> None:
    """RFC 3501 §7.4.1: no EXPUNGE in the answer to FETCH; REMOVEFROM stays with it."""
    client, account = await filled(world, *"123")
    await client.ok(b"SEARCH RETURN (UPDATE) ALL")
    await account.expunge(account.mailbox("INBOX"), [2])
    await deliver(account, "4")
    assert await updates(client, b"FETCH 1 UID") == [
        b"1 FETCH (UID 1)",
        b"4 EXISTS",
        b'ESEARCH (TAG "a") ADDTO (0 4)',
    ]
    assert await updates(client) == [b'ESEARCH (TAG "a") REMOVEFROM (0 2)', b"2 EXPUNGE"]


async def test_sorted_results_have_places(world: World) -> None:
    """RFC 5267 §4.3.3, §4.3.4: sets are put in and taken out at a place."""
    client, account = await filled(world, *"bdfhj")
    command = b"UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 UNSEEN"
    assert await client.ok(command) == [b'* ESEARCH (TAG "a") UID ALL 1:5']
    await deliver(account, *"gaec")
    assert (await updates(client))[-1] == b'ESEARCH (TAG "a") UID ADDTO (1 7 3 9 5 8 7 6)'
    box = account.mailbox("INBOX")
    await account.store_flags(box, [1, 7, 8], "add", ["\\Seen"])
    assert (await updates(client))[-1] == b'ESEARCH (TAG "a") UID REMOVEFROM (5 8 1 7,1)', "the last one first"
    await account.store_flags(box, [3, 8], "set", ["\\Seen"])
    await account.store_flags(box, [8], "remove", ["\\Seen"])
    assert (await updates(client))[-1] == b'ESEARCH (TAG "a") UID REMOVEFROM (3 3) ADDTO (3 8)'
    await account.expunge(box, [2, 9])
    assert (await updates(client))[0] == b'ESEARCH (TAG "a") UID REMOVEFROM (1 9,2)'


async def test_many_are_sorted_at_once(world: World) -> None:
    client, account = await filled(world, "m", "z")
    await client.ok(b"UID SORT RETURN (UPDATE) (REVERSE SUBJECT ARRIVAL) UTF-8 ALL")
    await deliver(account, *"abcdefghijklnopqrstuvwxy")
    told = (await updates(client))[-1]
    above, below = (b",".join(b"%d" % uid for uid in part) for part in (range(26, 14, -1), range(14, 2, -1)))
    assert told == b'ESEARCH (TAG "a") UID ADDTO (2 %b 15 %b)' % (above, below)


async def test_a_tag_is_used_once(world: World) -> None:
    """RFC 5267 §4.3: SHALL be rejected with BAD."""
    client, _ = await filled(world, "one")
    assert await client.ok(b"SEARCH RETURN (UPDATE) ALL") == [b'* ESEARCH (TAG "a")'], "UPDATE alone is not ALL"
    assert await client.refused(b"SORT RETURN (UPDATE) (DATE) UTF-8 ALL") == b"a BAD Tag reuse"
    assert await client.ok(b"SEARCH RETURN (COUNT) ALL") == [b'* ESEARCH (TAG "a") COUNT 1']


async def test_as_many_as_a_setting_says(make: MakeWorld) -> None:
    """RFC 5267 §4.3.1: an untagged NO; what else was asked for is answered."""
    world = await make(imap={"search_contexts": 2})
    client, account = await filled(world, "one")
    for tag in (b"b1", b"b2"):
        await client.ask(b"UID SEARCH RETURN (UPDATE) ALL", tag)
    assert await client.ask(b"UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL", b"b3") == [
        b'* ESEARCH (TAG "b3") UID COUNT 1',
        b'* NO [NOUPDATE "b3"] Too many searches are updated',
        b"b3 OK UID SORT completed",
    ]
    assert await client.ok(b'CANCELUPDATE "b1"') == []
    assert b"NOUPDATE" not in b"".join(await client.ask(b"UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL", b"b3"))
    await deliver(account, "two")
    assert (await updates(client))[-2:] == [
        b'ESEARCH (TAG "b2") UID ADDTO (0 2)',
        b'ESEARCH (TAG "b3") UID ADDTO (2 2)',
    ]


async def test_cancelling(world: World) -> None:
    client, account = await filled(world, "one")
    assert (await client.refused(b'CANCELUPDATE "x"')).startswith(b"a NO ")
    assert (await client.refused(b"CANCELUPDATE")).startswith(b"a BAD ")
    assert (await client.refused(b"CANCELUPDATE a")).startswith(b"a BAD ")
    for tag in (b"x", b"y", b"z"):
        await client.ask(b"SEARCH RETURN (UPDATE) ALL", tag)
    assert (await client.refused(b'CANCELUPDATE "x" "w"')).startswith(b"a NO ")
    assert await client.ok(b'CANCELUPDATE "x" "z"') == []
    await deliver(account, "two")
    assert (await updates(client))[1:] == [b'ESEARCH (TAG "y") ADDTO (0 2)']


@pytest.mark.parametrize("end", [b"SELECT INBOX", b"EXAMINE INBOX", b"UNSELECT", b"CLOSE", b"SELECT none"])
async def test_updates_cease_with_the_mailbox(world: World, end: bytes) -> None:
    client, account = await filled(world, "one")
    await client.ok(b"SEARCH RETURN (UPDATE) ALL")
    await client.ask(end)
    await client.ask(b"SELECT INBOX")
    await deliver(account, "two")
    assert await updates(client) == [b"2 EXISTS"]
    assert (await client.refused(b'CANCELUPDATE "a"')).startswith(b"a NO ")


async def test_while_idling(world: World) -> None:
    """RFC 5267 §4.3.2, and RFC 2177."""
    client, account = await filled(world, "b", "d")
    await client.ok(b"SORT RETURN (UPDATE) (SUBJECT) UTF-8 UNSEEN")
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await deliver(account, "c")
    assert [await client.line() for _ in range(3)] == [
        *(b"* 3 EXISTS", b"* 3 RECENT"),
        b'* ESEARCH (TAG "a") ADDTO (2 3)',
    ]
    box = account.mailbox("INBOX")
    await account.store_flags(box, [1], "add", ["\\Seen"])
    assert await client.line() == b"* 1 FETCH (FLAGS (\\Recent \\Seen))"
    assert await client.line() == b'* ESEARCH (TAG "a") REMOVEFROM (1 1)'
    await account.expunge(box, [3])
    assert await client.line() == b'* ESEARCH (TAG "a") REMOVEFROM (1 3)'
    assert [await client.line(), await client.line()] == [b"* 3 EXPUNGE", b"* 2 RECENT"]
    await client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"


async def test_changes_of_another_pod(make: MakeWorld) -> None:
    world = await make(imap={"idle_refresh_seconds": 0.05})
    client, _ = await filled(world, "one")
    await client.ok(b"UID SEARCH RETURN (UPDATE) SUBJECT two")
    pod = await other_pod(world)
    theirs = await pod.account()
    await deliver(theirs, "two", "three")
    assert (await updates(client))[-1] == b'ESEARCH (TAG "a") UID ADDTO (0 2)'
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await deliver(theirs, "twofold")
    assert [await client.line() for _ in range(2)] == [b"* 4 EXISTS", b"* 4 RECENT"]
    assert await client.line() == b'* ESEARCH (TAG "a") UID ADDTO (0 4)'
    await theirs.expunge(theirs.mailbox("INBOX"), [2, 3])
    assert [await client.line() for _ in range(3)] == [
        b'* ESEARCH (TAG "a") UID REMOVEFROM (0 2)',
        *(b"* 2 EXPUNGE", b"* 2 EXPUNGE"),
    ]
    theirs.release()
    await pod.services.store.close()
    pod.server.close()
    pod.services.auth.close()


async def test_by_qresync_and_uidonly(world: World) -> None:
    client, account = await filled(world, *"123", enable=b"QRESYNC")
    await client.ok(b"SEARCH RETURN (UPDATE) ALL")
    await account.expunge(account.mailbox("INBOX"), [2])
    told = await updates(client)
    assert told[:2] == [b'ESEARCH (TAG "a") REMOVEFROM (0 2)', b"VANISHED 2"]
    only, _ = await filled(world, enable=b"UIDONLY")
    assert b"UIDREQUIRED" in await only.refused(b"SEARCH RETURN (UPDATE) ALL")
    await only.ok(b"UID SEARCH RETURN (UPDATE) UNSEEN")
    assert await updates(only, b"UID STORE 3 +FLAGS (\\Seen)") == [
        b"3 UIDFETCH (FLAGS (\\Seen))",
        b'ESEARCH (TAG "a") UID REMOVEFROM (0 3)',
    ]


async def test_modseq(world: World) -> None:
    client, account = await filled(world, *"12", enable=b"CONDSTORE")
    await client.ok(b"UID SEARCH RETURN (UPDATE) MODSEQ %d" % (account.mailbox("INBOX").highest_modseq + 1))
    await account.store_flags(account.mailbox("INBOX"), [2], "add", ["\\Seen"])
    assert b'ESEARCH (TAG "a") UID ADDTO (0 2)' in await updates(client)


async def test_numbers_in_the_program_are_as_they_were(world: World) -> None:
    """RFC 5267 §4.3."""
    client, account = await filled(world, *"1234")
    await client.ok(b"SEARCH RETURN (SAVE) 2:3")
    await client.ask(b"UID SEARCH RETURN (UPDATE) 3:* UNSEEN", b"x")
    await client.ask(b"UID SEARCH RETURN (UPDATE) $ UNSEEN", b"y")
    await client.ask(b"UID SEARCH RETURN (UPDATE) NOT UID 1:3 UNSEEN", b"z")
    await client.ask(b"UID SEARCH RETURN (UPDATE) UID 4:* UNSEEN", b"w")
    box = account.mailbox("INBOX")
    await account.expunge(box, [1])
    await deliver(account, "5")
    assert [line for line in await updates(client) if b"ESEARCH" in line] == [
        b'ESEARCH (TAG "z") UID ADDTO (0 5)',
        b'ESEARCH (TAG "w") UID ADDTO (0 5)',
    ]
    await account.store_flags(box, [2, 3, 4], "add", ["\\Seen"])
    assert [line for line in await updates(client) if b"ESEARCH" in line] == [
        b'ESEARCH (TAG "x") UID REMOVEFROM (0 3:4)',
        b'ESEARCH (TAG "y") UID REMOVEFROM (0 2:3)',
        b'ESEARCH (TAG "z") UID REMOVEFROM (0 4)',
        b'ESEARCH (TAG "w") UID REMOVEFROM (0 4)',
    ]


async def test_what_changes_with_time_is_not_updated(world: World) -> None:
    """RFC 5267 §4.3.1: a server may refuse."""
    client, _ = await filled(world, "one")
    assert await client.ok(b"SEARCH RETURN (UPDATE ALL) NOT OR SEEN YOUNGER 60") == [
        b'* ESEARCH (TAG "a") ALL 1',
        b'* NO [NOUPDATE "a"] What matches changes with time',
    ]


async def test_options_that_do_not_meet(world: World) -> None:
    """RFC 5267 §4.2, §4.3, §4.4: CONTEXT is a hint, UPDATE tells of everything, PARTIAL stands once and without ALL."""
    client, account = await filled(world, *"123")
    assert await client.ok(b"UID SEARCH RETURN (CONTEXT COUNT) ALL") == [b'* ESEARCH (TAG "a") UID COUNT 3']
    assert await client.ok(b"UID SEARCH RETURN (CONTEXT) ALL") == [b'* ESEARCH (TAG "a") UID']
    assert await client.ok(b"UID SEARCH RETURN (UPDATE PARTIAL -1:-1 MIN) ALL") == [
        b'* ESEARCH (TAG "a") UID MIN 1 PARTIAL (-1:-1 3)'
    ]
    await account.store_flags(account.mailbox("INBOX"), [3], "add", ["\\Seen"])
    assert len(await updates(client)) == 1, "still in it"
    await account.expunge(account.mailbox("INBOX"), [2])
    assert (await updates(client))[0] == b'ESEARCH (TAG "a") UID REMOVEFROM (0 2)'
    for wrong in (b"PARTIAL 1:2 PARTIAL 3:4", b"UPDATE ALL PARTIAL 1:2", b"UPDATES"):
        assert (await client.refused(b"SEARCH RETURN (%b) ALL" % wrong)).startswith(b"a BAD ")


async def test_only_what_changed_is_tested_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client, account = await filled(world, *map(str, range(100)))
    await client.ok(b"UID SEARCH RETURN (UPDATE) BODY there UNSEEN")
    tested: list[int] = []
    run = Search.run

    async def counted(self: Search, key: object, among: list[int]) -> object:
        tested.extend(among)
        return await run(self, key, among)  # type: ignore[arg-type]

    monkeypatch.setattr(Search, "run", counted)
    await account.store_flags(account.mailbox("INBOX"), [7, 9], "add", ["\\Seen"])
    await deliver(account, "new")
    assert (await updates(client))[-1] == b'ESEARCH (TAG "a") UID REMOVEFROM (0 7,9) ADDTO (0 101)'
    assert tested == [6, 8, 100]
    await updates(client)
    assert tested == [6, 8, 100]


async def test_what_could_not_be_read_is_told_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client, account = await filled(world, "one")
    await client.ok(b"UID SEARCH RETURN (UPDATE) ALL")

    async def away(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(Search, "run", away)
        await deliver(account, "two")
        assert await updates(client) == [b"2 EXISTS"]
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        await deliver(account, "three")
        assert [await client.line() for _ in range(2)] == [b"* 3 EXISTS", b"* 3 RECENT"]
        await eventually(lambda: all(session._renewal is None for session in world.sessions()))
    await client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"
    assert await updates(client) == [b'ESEARCH (TAG "a") UID ADDTO (0 2:3)']
