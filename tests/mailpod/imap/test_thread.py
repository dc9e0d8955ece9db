"""THREAD and UID THREAD: RFC 5256 §3."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.selected import Desk, desk

from mailpod.imap.threads import by_latest, by_references, by_subject
from mailpod.mime.keys import Ids, Subject
from mailpod.mime.msgids import message_ids


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        yield found


def mail(own: str, refers: str = "", subject: str = "", day: int = 1, field: str = "References") -> bytes:
    lines = [f"Message-ID: <{own}@x>"] if own else []
    if refers:
        lines.append(f"{field}: {' '.join(f'<{each}@x>' for each in refers.split())}")
    if subject:
        lines.append(f"Subject: {subject}")
    return "\r\n".join([*lines, f"Date: {day} Feb 2000 12:00:00 +0000", "", ""]).encode()


async def threads(at: Desk, *messages: bytes, algorithm: str = "REFERENCES") -> str:
    await at.deliver(*messages)
    answer = (await at.select().say(f"THREAD {algorithm} UTF-8 ALL")).decode()
    head, end = answer.split("\r\n", 1)
    assert end == "OK THREAD completed\r\n"
    assert head.startswith("* THREAD")
    return head[9:]


async def test_the_shapes_of_rfc_5256(at: Desk) -> None:
    """§4: "* THREAD (2)(3 6 (4 23)(44 7 96))", with the numbers that a mailbox of nine gives."""
    messages = [
        *(mail("a"), mail("b", subject="s"), mail("d", "b f", day=3)),
        *(mail("e", "b f d", day=4), mail("f", "b", day=2)),
        *(mail("h", "b f g", day=6), mail("g", "b f", day=5), mail("i", "b f g h", day=7)),
    ]
    assert await threads(at, *messages) == "(1)(2 5 (3 4)(7 6 8))"


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        # a missing parent of two: a dummy stands above them
        ([mail("b", "a", day=2), mail("c", "a", day=3)], "((1)(2))"),
        # of one: the only child becomes a root
        ([mail("b", "a")], "(1)"),
        # a missing one between
        ([mail("a"), mail("c", "a b")], "(1 2)"),
        # without References, the first id of In-Reply-To
        ([mail("a"), mail("b", "a z", field="In-Reply-To")], "(1 2)"),
        # the ids of References may be a loop
        ([mail("a", "b"), mail("b", "a")], "(2 1)"),
        ([mail("a", "a")], "(1)"),
        ([mail("a", "b c"), mail("b", "c a"), mail("c", "a b")], "(2 3 1)"),
        # two with one id: the first has it, the second is without
        ([mail("a", day=1), mail("a", day=2), mail("b", "a", day=3)], "(1 3)(2)"),
        # a message's own references count more than what others say
        ([mail("c", "a b", day=3), mail("b", "x", day=2), mail("a", day=1), mail("x", day=4)], "(3)(4 2 1)"),
        # no ids at all
        ([mail("", day=2), mail("", day=1)], "(2)(1)"),
        # siblings by date, threads by the date of their root
        ([mail("a", day=9), mail("b", "a", day=8), mail("c", "a", day=7), mail("d", day=1)], "(4)(1 (3)(2))"),
        # step 5: same base subject
        ([mail("a", subject="s", day=1), mail("b", subject="Re: s", day=2)], "(1 2)"),
        ([mail("a", subject="Re: s", day=1), mail("b", subject="s", day=2)], "(2 1)"),
        ([mail("a", subject="s", day=1), mail("b", subject="S", day=2)], "((1)(2))"),
        ([mail("a", subject="re: s", day=1), mail("b", subject="re: s", day=2)], "((1)(2))"),
        ([mail(name, subject="s", day=day) for day, name in enumerate("abc", 1)], "((1)(2)(3))"),
        ([mail("a", subject="s"), mail("b", "a", subject="t"), mail("c", subject="re: t")], "(1 2)(3)"),
        ([mail("b", "a", "s"), mail("c", "a", "t"), mail("d", subject="s", day=3)], "((1)(2)(3))"),
        (
            [mail("b", "a", "s"), mail("c", "a", "t"), mail("e", "d", "s", 3), mail("f", "d", "u", 4)],
            "((1)(2)(3)(4))",
        ),
        # an empty base subject joins nobody
        ([mail("a", subject="re:", day=1), mail("b", subject="re:", day=2)], "(1)(2)"),
        # RFC 5256 §3: quoting does not matter
        ([mail('"01KF8"'), mail("b", "01KF8")], "(1 2)"),
        ([], ""),
    ],
)
async def test_references(at: Desk, messages: list[bytes], found: str) -> None:
    assert await threads(at, *messages) == found


async def test_ordered_subject(at: Desk) -> None:
    messages = [
        *(mail("a", subject="two", day=2), mail("b", subject="Re: one", day=3), mail("c", subject="one", day=1)),
        *(mail("d", subject="[x] ONE", day=4), mail("e", day=5)),
    ]
    assert await threads(at, *messages, algorithm="ORDEREDSUBJECT") == "(3 (2)(4))(1)(5)"


async def test_refs_puts_a_thread_where_its_latest_message_is(at: Desk) -> None:
    """draft-ietf-morg-inthread; the rest of it is compared with Dovecot's in test_dovecot_sort.py."""
    messages = [
        *(mail("a", subject="one", day=1), mail("b", subject="two", day=2), mail("c", "a", subject="Re: one", day=9)),
        *(mail("d", subject="Re: two", day=3), mail("f", "e", day=8), mail("g", "e", day=4)),
    ]
    assert await threads(at, *messages, algorithm="REFS") == "(2)(4)((6)(5))(1 3)", "no subject joins 2 and 4"


async def test_uids_a_search_and_no_expunge(at: Desk) -> None:
    await at.deliver(mail("a"), mail("b", "a"), mail("c", "a b"))
    ann = at.select()
    await at.account.expunge(ann.view.mailbox, [1])
    answer = await ann.say("THREAD REFERENCES UTF-8 2:3")
    assert answer == b"* THREAD (2 3)\r\nOK [EXPUNGEISSUED] THREAD completed\r\n", "RFC 5530 §3"
    answer = await ann.say("UID THREAD ORDEREDSUBJECT US-ASCII UID 3")
    assert answer == b"* THREAD (3)\r\n* 1 EXPUNGE\r\n* 2 RECENT\r\nOK UID THREAD completed\r\n"


async def test_what_is_remembered_follows_the_mailbox(at: Desk) -> None:
    await at.deliver(mail("a"), mail("b", "a"))
    ann = at.select()
    for _ in range(2):
        assert await ann.say("THREAD REFERENCES UTF-8 ALL") == b"* THREAD (1 2)\r\nOK THREAD completed\r\n"
    await at.deliver(mail("c", "b"))
    await ann.say("NOOP")
    assert (await ann.say("THREAD REFERENCES UTF-8 ALL")).startswith(b"* THREAD (1 2 3)\r\n")
    await at.account.expunge(ann.view.mailbox, [1])
    await ann.say("NOOP")
    assert (await ann.say("THREAD REFERENCES UTF-8 ALL")).startswith(b"* THREAD (1 2)\r\n")
    assert (await ann.say("UID THREAD REFERENCES UTF-8 ALL")).startswith(b"* THREAD (2 3)\r\n")


@pytest.mark.parametrize("command", ["THREAD REFERENCE UTF-8 ALL", "THREAD REFERENCES ALL", "THREAD REFERENCES UTF-8"])
async def test_what_is_refused(at: Desk, command: str) -> None:
    assert (await at.select().say(command)).startswith(b"BAD")


_IDS = st.sampled_from([b"", b"a", b"b", b"c", b"d", b"e", b"f", b"g"])
_MESSAGES = st.lists(
    st.tuples(
        st.builds(Ids, _IDS, st.lists(_IDS.filter(bool), max_size=4).map(tuple)),
        st.builds(Subject, st.sampled_from(["", "s", "t"]), st.booleans()),
        st.integers(0, 3),
    ),
    max_size=12,
)


@given(_MESSAGES)
def test_every_message_is_in_one_place(messages: list[tuple[Ids, Subject, int]]) -> None:
    ids, subjects, dates = ([each[column] for each in messages] for column in range(3))
    for forest in (by_references(ids, subjects, dates), by_subject(subjects, dates), by_latest(ids, dates)):
        wire = forest.wire(range(1, len(messages) + 1)).decode()
        assert sorted(map(int, re.findall("[0-9]+", wire))) == list(range(1, len(messages) + 1))
        assert wire.count("(") == wire.count(")")
        assert not re.search(r"\(\)| \)|\( |\) |^ |\(\([^()]*\)\)", wire), wire


def test_a_chain_as_long_as_a_mailbox() -> None:
    count = 20_000
    ids = [Ids(b"%d" % at, (b"%d" % (at - 1),)) for at in range(count)]
    for forest in (by_references(ids, [Subject("s", True)] * count, range(count)), by_latest(ids, range(count))):
        assert forest.wire(range(count)) == b"(%b)" % b" ".join(b"%d" % at for at in range(count))


@given(st.lists(st.sampled_from([b"<", b">", b"@", b'"', b"\\", b"a", b" ", b"\t", b"<a@b>", b'<"a b"@c>'])))
def test_ids_of_any_field(pieces: list[bytes]) -> None:
    for found in message_ids(b"".join(pieces)):
        assert b"@" in found
        assert not set(b"<>\t") & set(found)


def test_ids() -> None:
    assert message_ids(b'a <b@c> (x) <"d e"@f><no> < g@h > <"\\"i"@j>') == [b"b@c", b"d e@f", b"g@h", b'"i@j']
