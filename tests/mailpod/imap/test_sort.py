"""SORT and UID SORT: RFC 5256 §3, RFC 5957 §4."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Client, Desk, desk, letter

DAY = 86_400


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        yield found


async def filled(at: Desk, *messages: bytes) -> Client:
    """Message n came on day n, the last first."""
    for day, message in enumerate(reversed(messages)):
        await at.deliver(message, date=day * DAY)
    return at.select()


async def order(client: Client, criteria: str, program: str = "ALL") -> str:
    answer = (await client.say(f"SORT ({criteria}) UTF-8 {program}")).decode()
    head, end = answer.split("\r\n", 1)
    assert end == "OK SORT completed\r\n"
    assert head.startswith("* SORT")
    return head[7:]


async def test_by_what_the_mailbox_knows(at: Desk) -> None:
    ann = await filled(at, letter(body="x" * 9), letter(body="x"), letter(body="xxxxx"))
    assert await order(ann, "ARRIVAL") == "1 2 3"
    assert await order(ann, "REVERSE ARRIVAL") == "3 2 1"
    assert await order(ann, "SIZE") == "2 1 3"
    assert await order(ann, "REVERSE SIZE") == "3 1 2"


async def test_equals_stay_in_order_even_reversed(at: Desk) -> None:
    """RFC 5256 §3: the sequence number is an implicit last criterion, which REVERSE does not touch."""
    ann = await filled(at, letter("b"), letter("a"), letter("b"), letter("a"))
    assert await order(ann, "SUBJECT") == "1 3 2 4"
    assert await order(ann, "REVERSE SUBJECT") == "2 4 1 3"
    assert await order(ann, "SUBJECT REVERSE ARRIVAL") == "3 1 4 2"


async def test_subjects_are_compared_by_their_base(at: Desk) -> None:
    subjects = ["=?utf-8?q?=C3=A9toile?=", "Re: [list] BETA", "alpha", "fwd: Alpha (fwd)", "E\u0301toile"]
    ann = await filled(at, *map(letter, subjects), b"To: a@b\r\n\r\nnone at all\r\n")
    assert await order(ann, "SUBJECT") == "1 3 4 5 2 6"


async def test_dates_are_compared_in_utc_and_missing_ones_by_arrival(at: Desk) -> None:
    dates = ["1 Jan 1970 12:00 +0000", "1 Jan 1970 12:30 +0100", "no date at all"]
    ann = await filled(at, *(letter(date=date) for date in dates), b"Subject: x\r\n\r\n")
    # message 1 has no Date and came on day 0, message 2 one that is none and came on day 1
    assert await order(ann, "DATE") == "1 3 4 2"


async def test_addresses_are_compared_by_their_local_part(at: Desk) -> None:
    """RFC 5256 §3: addr-mailbox of the first address; none counts as empty."""
    ann = await filled(
        at,
        letter(x_from="", to="zoe@a.example, al@b.example", cc="Q <q@x>"),
        letter(to="Al <ADAM@z.example>", cc="\x80 <P@x>"),
        letter(to="undisclosed-recipients:;"),
        b"Subject: nobody\r\n\r\n",
    )
    assert await order(ann, "TO") == "1 3 2 4"
    assert await order(ann, "CC") == "1 2 3 4"
    assert await order(ann, "FROM") == "1 2 3 4"


async def test_names_as_they_are_displayed(at: Desk) -> None:
    senders = ["zed@a.example", "=?utf-8?q?=C3=9Cber?= <b@b.example>", '" " <mid@a.example>', "Group: z@a;", "aa <x@y>"]
    ann = await filled(at, *(b"From: %b\r\n\r\n" % sender.encode() for sender in senders), b"Subject: x\r\n\r\n")
    assert await order(ann, "DISPLAYFROM") == "1 2 3 4 5 6"
    assert await order(ann, "DISPLAYTO") == "1 2 3 4 5 6"
    assert await order(ann, "REVERSE DISPLAYFROM") == "6 5 4 3 2 1"


async def test_only_what_the_search_finds(at: Desk) -> None:
    ann = await filled(at, letter("c"), letter("b"), letter("a"))
    await at.account.store_flags(ann.view.mailbox, [1, 2], "add", ["\\Seen"])
    ann = at.select()
    assert await order(ann, "SUBJECT", "SEEN") == "1 2"
    assert await order(ann, "REVERSE SUBJECT", "SEEN SUBJECT b") == "2"
    assert await order(ann, "SUBJECT", "TEXT nowhere") == ""


async def test_uid_sort_gives_uids_and_no_expunge_is_told_during_sort(at: Desk) -> None:
    ann = await filled(at, letter("c"), letter("b"), letter("a"))
    await at.account.expunge(ann.view.mailbox, [1])
    answer = await ann.say("SORT (SUBJECT) UTF-8 ALL")
    assert answer == b"* SORT 1 2 3\r\nOK [EXPUNGEISSUED] SORT completed\r\n", "RFC 5530 §3"
    answer = await ann.say("UID SORT (REVERSE SUBJECT) US-ASCII ALL")
    assert answer == b"* SORT 3 2 1\r\n* 1 EXPUNGE\r\n* 2 RECENT\r\nOK UID SORT completed\r\n"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("SORT (SUBJECT) KLINGON ALL", b"NO [BADCHARSET"),
        ("SORT (COLOUR) UTF-8 ALL", b"BAD Unknown sort key COLOUR"),
        ("SORT () UTF-8 ALL", b"BAD"),
        ("SORT (REVERSE) UTF-8 ALL", b"BAD"),
        ("SORT (REVERSE REVERSE SIZE) UTF-8 ALL", b"BAD"),
        ("SORT (SIZE) ALL", b"BAD"),
        ("SORT SIZE UTF-8 ALL", b"BAD"),
        ("SORT (SIZE" + " SIZE" * 20 + ") UTF-8 ALL", b"BAD More than 20 sort keys"),
    ],
)
async def test_what_is_refused(at: Desk, command: str, answer: bytes) -> None:
    assert (await at.select().say(command)).startswith(answer)


async def test_an_empty_mailbox(at: Desk) -> None:
    assert await order(at.select(), "DATE") == ""


async def test_new_messages_join_what_is_remembered(at: Desk) -> None:
    ann = await filled(at, letter("c"), letter("a"))
    assert await order(ann, "SUBJECT") == "1 2"
    await at.deliver(letter("b"))
    assert await order(at.select(), "SUBJECT") == "1 3 2"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ("ALL", b"ALL 3,2,1"),
        ("", b"ALL 3,2,1"),
        ("MIN MAX COUNT", b"MIN 3 MAX 1 COUNT 3"),
        ("PARTIAL 1:2", b"PARTIAL (1:2 3,2)"),
    ],
)
async def test_return_in_the_order_of_the_sort(at: Desk, options: str, answer: bytes) -> None:
    """RFC 5267 §3: MIN and MAX are the first and the last, and ALL keeps the order."""
    ann = await filled(at, letter("c"), letter("b"), letter("a"))
    reply = await ann.say(f"SORT RETURN ({options}) (SIZE REVERSE SUBJECT) UTF-8 ALL")
    plain = (await ann.say("SORT (SIZE REVERSE SUBJECT) UTF-8 ALL")).split(b"\r\n")[0]
    assert plain == b"* SORT 3 2 1"
    assert reply == b'* ESEARCH (TAG "a") %b\r\nOK SORT completed\r\n' % answer
    assert await ann.say(f"SORT (SIZE REVERSE SUBJECT) UTF-8 RETURN ({options}) ALL") == reply, "as imaptest says it"


async def test_saved_for_later(at: Desk) -> None:
    ann = await filled(at, letter("c"), letter("b"), letter("a"))
    await ann.say("UID SORT RETURN (SAVE) (REVERSE SUBJECT) UTF-8 SUBJECT b")
    assert await ann.say("SEARCH $") == b"* SEARCH 2\r\nOK SEARCH completed\r\n"
