"""SEARCH RETURN: RFC 4731, RFC 5182, RFC 9394; WITHIN: RFC 5032; SAVEDATE: RFC 8514; OBJECTID: RFC 8474."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.selected import Client, Desk, desk, keywords, letter

from mailpod.errors import Unavailable
from mailpod.imap.enabled import Enabled
from mailpod.imap.results import slice_of
from mailpod.store import NewMessage


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(*[letter(str(n)) for n in range(1, 11)])
        await found.account.expunge(found.account.mailbox("INBOX"), [1])
        found.account.mailbox("INBOX").claim_recent()
        yield found


async def result(client: Client, command: str) -> bytes:
    answer = await client.say(command)
    name = command.split(" RETURN")[0].encode()
    assert answer.endswith(b"OK %b completed\r\n" % name), answer
    return answer.removesuffix(b"OK %b completed\r\n" % name)


async def test_return(at: Desk) -> None:
    ann = at.select()
    for options, found in {
        "MIN": b"MIN 3",
        "MIN MAX": b"MIN 3 MAX 6",
        "COUNT ALL": b"ALL 3,5:6 COUNT 3",
        "": b"ALL 3,5:6",
        "MAX COUNT PARTIAL 2:9": b"MAX 6 COUNT 3 PARTIAL (2:9 5:6)",
    }.items():
        answer = await result(ann, f"SEARCH RETURN ({options}) 3,5,6")
        assert answer == b'* ESEARCH (TAG "a") %b\r\n' % found, options
    assert await result(ann, "UID SEARCH RETURN (MIN ALL) 3,5,6") == b'* ESEARCH (TAG "a") UID MIN 4 ALL 4,6:7\r\n'
    assert await result(ann, "SEARCH RETURN (MIN MAX ALL COUNT) SEEN") == b'* ESEARCH (TAG "a") COUNT 0\r\n'
    assert await result(ann, "SEARCH RETURN () SEEN") == b'* ESEARCH (TAG "a")\r\n'
    assert await result(ann, "SEARCH RETURN (COUNT) CHARSET UTF-8 SUBJECT 1") == b'* ESEARCH (TAG "a") COUNT 1\r\n'
    for wrong in ("(FOO) ALL", "(MIN ALL", "(PARTIAL) ALL", "(PARTIAL 1:-1) ALL", "(PARTIAL 0:1) ALL", "(MIN)"):
        assert (await ann.say(f"SEARCH RETURN {wrong}")).startswith(b"BAD ")
    assert (await ann.say("SEARCH RETURN (ALL PARTIAL 1:2) ALL")).startswith(b"BAD ")


async def test_partial(at: Desk) -> None:
    """RFC 9394 §4: the ends of a range may be swapped, which means the same; imaptest wants it back in order."""
    ann = at.select()
    for places, found in {
        "1:2": b"2:3",
        "2:1": b"2:3",
        "9:9": b"10",
        "-1:-2": b"9:10",
        "-2:-1": b"9:10",
        "-9:-20": b"2",
        "-10:-20": b"NIL",
        "10:11": b"NIL",
    }.items():
        answer = await result(ann, f"UID SEARCH RETURN (PARTIAL {places}) ALL")
        told = {"2:1": "1:2", "-2:-1": "-1:-2"}.get(places, places)
        assert answer == b'* ESEARCH (TAG "a") UID PARTIAL (%b %b)\r\n' % (told.encode(), found)
    assert await ann.say("UID FETCH 1:* (FLAGS) (PARTIAL -1:-2)") == (
        b"* 8 FETCH (UID 9 FLAGS ())\r\n* 9 FETCH (UID 10 FLAGS ())\r\nOK UID FETCH completed\r\n"
    )
    # RFC 9394 §4: a fetch-modifier, and so FETCH's too, as James's FetchPartial has it
    assert await ann.say("FETCH 2:5 (UID) (PARTIAL 2:3)") == (
        b"* 3 FETCH (UID 4)\r\n* 4 FETCH (UID 5)\r\nOK FETCH completed\r\n"
    )
    for twice in ("PARTIAL 1:2 PARTIAL 1:3", "CHANGEDSINCE 1 CHANGEDSINCE 2"):
        assert (await ann.say(f"UID FETCH 1:* (FLAGS) ({twice})")).startswith(b"BAD ")


async def test_partial_counts_before_changedsince(at: Desk) -> None:
    """RFC 9394 §3.4: the last two are chosen first, and then those of them that changed."""
    ann = at.select(enabled=Enabled(condstore=True))
    last, since = list(ann.view.uids)[-2:], at.account.head
    await at.account.store_flags(ann.view.mailbox, [ann.view.uids[0], last[1]], "add", ["\\Seen"])
    await ann.say("NOOP")
    for modifiers in (f"PARTIAL -1:-2 CHANGEDSINCE {since}", f"CHANGEDSINCE {since} PARTIAL -1:-2"):
        answer = await ann.say(f"UID FETCH 1:* (UID) ({modifiers})")
        assert answer == b"* %d FETCH (UID %d MODSEQ (%d))\r\nOK UID FETCH completed\r\n" % (
            ann.view.exists,
            last[1],
            at.account.head,
        )


def test_slices() -> None:
    for places, found in {
        (1, 3): [1, 2, 3],
        (3, 1): [1, 2, 3],
        (-1, -2): [4, 5],
        (4, 9): [4, 5],
        (-5, -9): [1],
    }.items():
        assert slice_of([1, 2, 3, 4, 5], places) == found


async def test_modseq(at: Desk) -> None:
    ann = at.select(enabled=Enabled(condstore=True))
    first = at.account.mailbox("INBOX").modseqs[0]
    await at.account.store_flags(ann.view.mailbox, [4], "add", ["\\Seen"])
    head = at.account.head
    await ann.say("NOOP")
    assert await result(ann, "SEARCH RETURN (ALL) MODSEQ 1") == b'* ESEARCH (TAG "a") ALL 1:9 MODSEQ %d\r\n' % head
    # RFC 7162 §3.1.10: of the messages that the answer names
    assert await result(ann, "SEARCH RETURN (MIN) MODSEQ 1") == b'* ESEARCH (TAG "a") MIN 1 MODSEQ %d\r\n' % first
    assert await result(ann, "SEARCH RETURN (MIN MAX) MODSEQ 1 1:3") == (
        b'* ESEARCH (TAG "a") MIN 1 MAX 3 MODSEQ %d\r\n' % head
    )


async def test_saved_result(at: Desk) -> None:
    ann = at.select()
    assert await ann.say("FETCH $ UID") == b"OK FETCH completed\r\n", "empty after SELECT"
    assert await result(ann, "SEARCH RETURN (SAVE) 3:5") == b"", "RFC 5182 §2.1: nothing else was asked for"
    assert await ann.say("FETCH $ UID") == (
        b"* 3 FETCH (UID 4)\r\n* 4 FETCH (UID 5)\r\n* 5 FETCH (UID 6)\r\nOK FETCH completed\r\n"
    )
    assert await ann.say("SEARCH $ SMALLER 10") == b"* SEARCH\r\nOK SEARCH completed\r\n"
    assert await ann.say("UID SEARCH NOT UID $") == b"* SEARCH 2 3 7 8 9 10\r\nOK UID SEARCH completed\r\n"
    await at.account.expunge(ann.view.mailbox, [5])
    await ann.say("NOOP")
    assert await ann.say("UID STORE $ +FLAGS (x)") == keywords("x") + (
        b"* 3 FETCH (UID 4 FLAGS (x))\r\n* 4 FETCH (UID 6 FLAGS (x))\r\nOK UID STORE completed\r\n"
    ), "what was expunged is no longer in it"
    assert b"COPYUID" in await ann.say("COPY $ Sent")
    assert at.account.mailbox("Sent").exists == 2


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("SAVE MIN", b"2"),
        ("SAVE MAX", b"10"),
        ("MIN MAX SAVE", b"2 10"),
        ("SAVE MIN COUNT", b"2 3 4 5 6 7 8 9 10"),
        ("SAVE ALL MIN", b"2 3 4 5 6 7 8 9 10"),
        ("SAVE PARTIAL 2:3", b"3 4"),
        ("SAVE PARTIAL 2:3 MAX", b"3 4 10"),
    ],
)
async def test_what_is_saved(at: Desk, options: str, kept: bytes) -> None:
    ann = at.select()
    assert b"ESEARCH" in await result(ann, f"SEARCH RETURN ({options}) ALL")
    assert await ann.say("UID SEARCH $") == b"* SEARCH %b\r\nOK UID SEARCH completed\r\n" % kept


async def test_a_search_that_fails(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = at.select()
    await ann.say("SEARCH RETURN (SAVE) 1:2")
    assert (await ann.say("SEARCH RETURN (SAVE) FOO")).startswith(b"BAD ")
    assert await ann.say("SEARCH $") == b"* SEARCH 1 2\r\nOK SEARCH completed\r\n", "RFC 5182 §2.1: not by a BAD"

    async def away(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr("mailpod.imap.search.Search.run", away)
        assert (await ann.say("SEARCH RETURN (SAVE) ALL")).startswith(b"NO [UNAVAILABLE]")
    assert await ann.say("SEARCH $") == b"* SEARCH\r\nOK SEARCH completed\r\n"


async def test_a_search_in_an_unknown_charset(world: World) -> None:
    """RFC 5182 §2.2, example 5."""
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x")])
    client = await world.login(select="INBOX")
    await client.ok(b"SEARCH RETURN (SAVE) ALL")
    for unsaved in (b"SEARCH CHARSET KLINGON ALL", b"SEARCH RETURN (ALL) CHARSET KLINGON TEXT {4+}\r\nXXXX"):
        assert (await client.refused(unsaved)).startswith(b"a NO [BADCHARSET ")
        assert await client.ok(b"SEARCH $") == [b"* SEARCH 1"]
    for saving in (
        b"SEARCH RETURN (SAVE) CHARSET KLINGON TEXT {4+}\r\nXXXX",
        b"UID SEARCH RETURN (MIN SAVE) CHARSET KLINGON ALL",
        b"SORT RETURN (SAVE) (DATE) KLINGON ALL",
    ):
        await client.ok(b"SEARCH RETURN (SAVE) ALL")
        assert (await client.refused(saving)).startswith(b"a NO [BADCHARSET ")
        assert await client.ok(b"SEARCH $") == [b"* SEARCH"]


async def test_within() -> None:
    async with desk() as at:
        now = int(time.time())
        for age in (3600, 60, 0):
            await at.deliver(letter(), date=now - age)
        ann = at.select()
        assert await ann.say("SEARCH OLDER 1800") == b"* SEARCH 1\r\nOK SEARCH completed\r\n"
        assert await ann.say("SEARCH YOUNGER 1800") == b"* SEARCH 2 3\r\nOK SEARCH completed\r\n"
        assert await ann.say("SEARCH YOUNGER 1800 OLDER 30") == b"* SEARCH 2\r\nOK SEARCH completed\r\n"
        assert (await ann.say("SEARCH OLDER 0")).startswith(b"BAD ")


async def test_savedate(at: Desk) -> None:
    """INTERNALDATE is 1970 here."""
    ann = at.select()
    today = time.strftime("%d-%b-%Y", time.gmtime())
    assert b"SAVEDATE" in await ann.say("FETCH 1 SAVEDATE")
    saved = (await ann.say("FETCH 1 (SAVEDATE)")).split(b'"')[1].decode()
    assert saved.strip() == time.strftime(
        "%d-%b-%Y %H:%M:%S +0000", time.strptime(saved, "%d-%b-%Y %H:%M:%S +0000")
    ).lstrip("0")
    assert await ann.say("SEARCH SAVEDBEFORE 1-Feb-2020") == b"* SEARCH\r\nOK SEARCH completed\r\n"
    assert (
        await ann.say(f"SEARCH SAVEDSINCE 1-Feb-2020 BEFORE {today} 1:2") == b"* SEARCH 1 2\r\nOK SEARCH completed\r\n"
    )
    assert await ann.say("SEARCH SAVEDATESUPPORTED 3") == b"* SEARCH 3\r\nOK SEARCH completed\r\n"


async def test_object_ids_of_messages(at: Desk) -> None:
    ann = at.select()
    answer = await ann.say("FETCH 1:2 (EMAILID THREADID)")
    first, second = (line.split()[4] for line in answer.split(b"\r\n")[:2])
    threads = [line.split()[6].strip(b"()") for line in answer.split(b"\r\n")[:2]]
    assert threads[0] != threads[1]
    assert first != second
    await ann.say("COPY 2 Sent")
    sent = at.select("Sent")
    assert second in await sent.say("FETCH 1 EMAILID"), "RFC 8474 §5.1: a copy is the same message"
    wanted = second.decode().strip("()")
    assert await ann.say(f"SEARCH EMAILID {wanted}") == b"* SEARCH 2\r\nOK SEARCH completed\r\n"
    assert await ann.say(f"SEARCH THREADID {wanted}") == b"* SEARCH\r\nOK SEARCH completed\r\n"
    assert await ann.say(f"SEARCH THREADID {threads[1].decode()}") == b"* SEARCH 2\r\nOK SEARCH completed\r\n"


async def test_a_thread_has_one_id_in_whatever_order_it_arrives(world: World) -> None:
    """RFC 8474 §5.2. What refers to one first message is one thread, whether that is there or not."""
    client = await world.login()
    letters = (
        b"Message-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\n\r\n",
        b"Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\n",
        b"Message-ID: <1@x>\r\n\r\n",
        b"Message-ID: <other@x>\r\n\r\n",
        b"Subject: no ids\r\n\r\n",
        b"Subject: no ids\r\n\r\n",
    )
    for each in letters:
        await client.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(each), each))
    await client.ok(b"SELECT INBOX")
    answer = b"\r\n".join(await client.ok(b"FETCH 1:* THREADID"))
    found = re.findall(rb"THREADID \((T[0-9a-f]+)\)\)", answer)
    assert len(found) == 6
    assert len(set(found[:3])) == 1
    assert len(set(found[2:])) == 4
    assert b"* SEARCH 1 2 3" in await client.ok(b"SEARCH THREADID " + found[1])
    assert b"* SEARCH 2" in await client.ok(b"SEARCH THREADID " + found[1] + b" HEADER IN-REPLY-TO <1@x>")


async def test_object_ids_of_mailboxes(world: World) -> None:
    client = await world.login()
    made = (await client.ask(b"CREATE a"))[-1]
    assert made.startswith(b"a OK [MAILBOXID (F")
    mailboxid = made[made.index(b"MAILBOXID") : made.index(b"]")]
    await client.ok(b"RENAME a b")
    assert b"* OK [%b] Ok" % mailboxid in await client.ok(b"SELECT b")
    assert await client.ok(b"STATUS b (MAILBOXID)") == [b"* STATUS b (%b)" % mailboxid]
    await client.ok(b"DELETE b")
    assert mailboxid not in (await client.ask(b"CREATE b"))[-1], "RFC 8474 §4: never used again"
