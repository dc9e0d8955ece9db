"""FETCH and UID FETCH: RFC 3501 §6.4.5, §7.4.2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from unittest.mock import Mock

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter

NESTED = b"""From: a@b
Subject: outer
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain

one
--x
Content-Type: message/rfc822

Subject: inner
X-Inner: yes

two
--x--
""".replace(b"\n", b"\r\n")


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        yield found


async def test_flags_and_uid(at: Desk) -> None:
    await at.deliver(letter(), letter(), flags=("\\Seen", "work"))
    await at.deliver(letter())
    ann = at.select(read_only=True)
    ann.view.account.mailbox("INBOX").claim_recent()
    assert await at.select(read_only=True).say("FETCH 1:* FLAGS") == (
        b"* 1 FETCH (FLAGS (\\Seen work))\r\n"
        b"* 2 FETCH (FLAGS (\\Seen work))\r\n"
        b"* 3 FETCH (FLAGS ())\r\n"
        b"OK FETCH completed\r\n"
    )
    assert await at.select(read_only=True).say("UID FETCH 2:9 (FLAGS)") == (
        b"* 2 FETCH (UID 2 FLAGS (\\Seen work))\r\n* 3 FETCH (UID 3 FLAGS ())\r\nOK UID FETCH completed\r\n"
    )
    assert await at.select(read_only=True).say("FETCH 1,3 (UID)") == (
        b"* 1 FETCH (UID 1)\r\n* 3 FETCH (UID 3)\r\nOK FETCH completed\r\n"
    )


async def test_recent_is_one_sessions(at: Desk) -> None:
    await at.deliver(letter(), letter())
    first, second = at.select(), at.select()
    assert b"* 1 FETCH (FLAGS (\\Recent))\r\n* 2 FETCH (FLAGS (\\Recent))\r\n" in await first.say("FETCH 1:2 FLAGS")
    assert b"* 1 FETCH (FLAGS ())\r\n* 2 FETCH (FLAGS ())\r\n" in await second.say("FETCH 1:2 FLAGS")
    await at.deliver(letter(), flags=("\\Seen",))
    assert await second.say("NOOP") == b"* 3 EXISTS\r\n* 1 RECENT\r\nOK NOOP completed\r\n"
    assert await first.say("NOOP") == b"* 3 EXISTS\r\n* 2 RECENT\r\nOK NOOP completed\r\n"
    assert b"* 3 FETCH (FLAGS (\\Recent \\Seen))\r\n" in await second.say("FETCH 1:* FLAGS")
    assert b"* 3 FETCH (RFC822.SIZE 101 FLAGS (\\Recent \\Seen))" in await second.say("FETCH 3 (RFC822.SIZE FLAGS)")


async def test_metadata(at: Desk) -> None:
    await at.deliver(letter(), date=1_000_000_000)
    ann = at.select(read_only=True)
    answer = await ann.say("FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)")
    assert answer == (
        b'* 1 FETCH (FLAGS (\\Recent) INTERNALDATE "09-Sep-2001 01:46:40 +0000" RFC822.SIZE 101 '
        b'ENVELOPE ("Mon, 7 Feb 1994 21:52:25 -0800 (PST)" "Hello" (("Ann" NIL "ann" "example.org")) '
        b'(("Ann" NIL "ann" "example.org")) (("Ann" NIL "ann" "example.org")) NIL NIL NIL NIL NIL) '
        b'BODY ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 1) '
        b'BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 1 NIL NIL NIL NIL))\r\n'
        b"OK FETCH completed\r\n"
    ).replace(b'"09-Sep', b'" 9-Sep')


async def test_body_sets_seen_and_says_so(at: Desk) -> None:
    await at.deliver(letter(body="Text\r\n"), letter(body=""), flags=("\\Flagged",))
    at.account.mailbox("INBOX").claim_recent()
    ann, bob = at.select(), at.select()
    whole = letter(body="Text\r\n")
    assert await ann.say("FETCH 1 BODY[]") == (
        b"* 1 FETCH (FLAGS (\\Flagged \\Seen) BODY[] {%d}\r\n%b)\r\nOK FETCH completed\r\n" % (len(whole), whole)
    ), "RFC 3501 §6.4.5: \\Seen is implicitly set, and the new FLAGS are in the response"
    assert await ann.say("FETCH 1 BODY[TEXT]") == (
        b"* 1 FETCH (BODY[TEXT] {6}\r\nText\r\n)\r\nOK FETCH completed\r\n"
    ), "it was set already: nothing new to tell"
    assert await bob.say("NOOP") == b"* 1 FETCH (FLAGS (\\Flagged \\Seen))\r\nOK NOOP completed\r\n"
    assert await ann.say("FETCH 2 (BODY[TEXT] FLAGS)") == (
        b'* 2 FETCH (FLAGS (\\Flagged \\Seen) BODY[TEXT] "")\r\nOK FETCH completed\r\n'
    )


@pytest.mark.parametrize(
    "item", ["BODY.PEEK[]", "RFC822.HEADER", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "ENVELOPE", "BODY"]
)
async def test_what_leaves_seen_alone(at: Desk, item: str) -> None:
    await at.deliver(letter())
    assert b"FLAGS" not in await at.select().say(f"FETCH 1 {item}")
    assert at.flags(1) == set()


@pytest.mark.parametrize("item", ["RFC822", "RFC822.TEXT", "BODY[HEADER]", "BODY[HEADER.FIELDS (SUBJECT)]"])
async def test_what_sets_seen(at: Desk, item: str) -> None:
    await at.deliver(letter())
    assert b"(FLAGS (\\Recent \\Seen) %b" % item.encode() in await at.select().say(f"FETCH 1 {item}")
    assert at.flags(1) == {"\\Seen"}


async def test_examine_never_sets_seen(at: Desk) -> None:
    await at.deliver(letter())
    assert b"FLAGS" not in await at.select(read_only=True).say("FETCH 1 BODY[]")
    assert at.flags(1) == set()


async def test_one_commit_sets_seen_for_the_whole_set(at: Desk) -> None:
    await at.deliver(*[letter()] * 30)
    ann, head = at.select(), at.account.head
    await ann.say("FETCH 1:* BODY[TEXT]")
    assert at.account.head == head + 1


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("BODY.PEEK[1]", b"BODY[1] {3}\r\none"),
        ("BODY.PEEK[1.MIME]", b"BODY[1.MIME] {28}\r\nContent-Type: text/plain\r\n\r\n"),
        ("BODY.PEEK[2.HEADER]", b"BODY[2.HEADER] {32}\r\nSubject: inner\r\nX-Inner: yes\r\n\r\n"),
        ("BODY.PEEK[2.TEXT]", b"BODY[2.TEXT] {3}\r\ntwo"),
        ("BODY.PEEK[2.HEADER.FIELDS (x-inner)]", b"BODY[2.HEADER.FIELDS (x-inner)] {16}\r\nX-Inner: yes\r\n\r\n"),
        (
            "BODY.PEEK[2.HEADER.FIELDS.NOT (X-INNER)]",
            b"BODY[2.HEADER.FIELDS.NOT (X-INNER)] {18}\r\nSubject: inner\r\n\r\n",
        ),
        ("BODY.PEEK[3]", b"BODY[3] NIL"),
        ("BODY.PEEK[1.HEADER]", b"BODY[1.HEADER] NIL"),
        ("BODY.PEEK[]<6.3>", b"BODY[]<6> {3}\r\na@b"),
        ("BODY.PEEK[]<0.4>", b"BODY[]<0> {4}\r\nFrom"),
        ("BODY.PEEK[1]<1.100>", b"BODY[1]<1> {2}\r\nne"),
        ("BODY.PEEK[1]<100.1>", b'BODY[1]<100> ""'),
        ("BODY.PEEK[1]<1.9223372036854775807>", b"BODY[1]<1> {2}\r\nne"),
        ("BODY.PEEK[1]<4294967296.4294967296>", b'BODY[1]<4294967296> ""'),
        ("BODY.PEEK[HEADER.FIELDS (SUBJECT)]<9.5>", b"BODY[HEADER.FIELDS (SUBJECT)]<9> {5}\r\nouter"),
        ("BODY.PEEK[HEADER.FIELDS (FROM NOPE)]", b"BODY[HEADER.FIELDS (FROM NOPE)] {13}\r\nFrom: a@b\r\n\r\n"),
        ("BODY.PEEK[HEADER.FIELDS (NOPE)]", b"BODY[HEADER.FIELDS (NOPE)] {2}\r\n\r\n"),
    ],
)
async def test_sections(at: Desk, item: str, expected: bytes) -> None:
    await at.deliver(NESTED)
    answer = await at.select().say(f"FETCH 1 {item}")
    assert answer == b"* 1 FETCH (%b)\r\nOK FETCH completed\r\n" % expected


async def test_header_fields_come_without_reading_the_message(at: Desk) -> None:
    await at.deliver(*[letter(x_odd="1" if n == 2 else "2") if n > 1 else letter() for n in range(4)])
    ann = at.select()
    gets = count_gets(at)
    answer = await ann.say("FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject From X-Nowhere)]")
    assert answer.count(b"From: Ann <ann@example.org>\r\n\r\n") == 4
    assert gets() == 0, "cached, or absent by `names`"
    answer = await ann.say("FETCH 1:* BODY.PEEK[HEADER.FIELDS (X-Odd)]")
    assert answer.count(b"{2}\r\n\r\n") == 2
    assert b"{12}\r\nX-Odd: 1\r\n\r\n" in answer


def count_gets(at: Desk) -> Callable[[], int]:
    """How often a message has been read since."""
    read, stream = Mock(wraps=at.store.bodies.read), Mock(wraps=at.store.bodies.stream)
    at.store.bodies.read, at.store.bodies.stream = read, stream  # type: ignore[method-assign]
    return lambda: read.call_count + stream.call_count


async def test_all_messages_of_many_pages(at: Desk) -> None:
    for start in range(0, 1200, 400):
        await at.deliver(*[letter(f"number {n}") for n in range(start, start + 400)])
    ann = at.select(read_only=True)
    answer = await ann.say("UID FETCH 1:* (RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    for n in (0, 399, 400, 1199):
        assert b"* %d FETCH (UID %d RFC822.SIZE " % (n + 1, n + 1) in answer
        assert b"Subject: number %d\r\n\r\n)\r\n" % n in answer
    answer = await ann.say("FETCH 1200:2,5 BODY.PEEK[]")
    assert answer.count(b"BODY[] {") == 1199


async def test_numbers_out_of_range(at: Desk) -> None:
    ann = at.select()
    assert await ann.say("FETCH 1:* FLAGS") == b"OK FETCH completed\r\n", "how clients ask for all of an empty mailbox"
    assert await ann.say("UID FETCH 1:* FLAGS") == b"OK UID FETCH completed\r\n"
    await at.deliver(letter())
    await ann.say("NOOP")
    for numbers in ("2", "1:2", "2:*", "4294967295"):
        assert (await ann.say(f"FETCH {numbers} FLAGS")).startswith(b"BAD "), numbers
    assert await ann.say("UID FETCH 2,4294967295 FLAGS") == b"OK UID FETCH completed\r\n"
    assert b"UID 1" in await ann.say("UID FETCH 5:* FLAGS"), "RFC 3501 §6.4.8: always has the last message"


async def test_messages_that_another_session_expunged(at: Desk) -> None:
    uids = await at.deliver(letter("a"), letter("b"), letter("c"), flags=("\\Seen",))
    at.account.mailbox("INBOX").claim_recent()
    ann = at.select()
    await at.account.expunge(ann.view.mailbox, [uids[1]])
    answer = await ann.say("FETCH 1:3 (RFC822.SIZE UID)")
    assert b"* 3 FETCH (RFC822.SIZE 97 UID 3)\r\n" in answer, "RFC 3501 §7.4.1: no EXPUNGE now, message 3 is still 3"
    answer = await ann.say("FETCH 1:3 (UID FLAGS)")
    assert answer.count(b"FLAGS (\\Seen)") == 3, "what was known of it can still be told"
    answer = await ann.say("UID FETCH 3 (RFC822.SIZE)")
    assert answer == b"* 3 FETCH (UID 3 RFC822.SIZE 97)\r\n* 2 EXPUNGE\r\nOK UID FETCH completed\r\n"
    assert b"* 2 FETCH (UID 3 " in await ann.say("FETCH 1:2 (UID RFC822.SIZE)")


async def test_expunged_messages_whose_octets_are_gone(at: Desk) -> None:
    await at.deliver(letter("a"))
    await at.deliver(letter("b"))
    ann = at.select()
    await at.account.expunge(ann.view.mailbox, [1])
    await at.objects.delete(at.objects_with(b"Subject: a"))
    answer = await ann.say("FETCH 1:2 BODY.PEEK[TEXT]")
    assert answer == (
        b"* 2 FETCH (BODY[TEXT] {10}\r\nHi there\r\n)\r\n"
        b"NO [EXPUNGEISSUED] Some of the messages no longer exist: they have been deleted\r\n"
    )
    answer = await ann.say("UID FETCH 1:2 BODY.PEEK[TEXT]")
    assert answer == (
        b"* 2 FETCH (UID 2 BODY[TEXT] {10}\r\nHi there\r\n)\r\n* 1 EXPUNGE\r\n* 1 RECENT\r\nOK UID FETCH completed\r\n"
    )


async def test_new_mail_behind_an_expunge_that_is_held_back(at: Desk) -> None:
    await at.deliver(letter("a"), letter("b"), letter("c"))
    ann = at.select()
    await at.account.expunge(ann.view.mailbox, [1])
    await at.deliver(letter("d"))
    assert b"* 4 EXISTS\r\n" in await ann.say("FETCH 2 FLAGS"), "sizes are told at once, message 1 counted"
    assert b"* 4 FETCH (UID 4" in await ann.say("FETCH 4 (UID RFC822.SIZE)")
    answer = await ann.say("NOOP")
    assert b"* 1 EXPUNGE\r\n" in answer
    assert b"EXISTS" not in answer
    assert b"* 3 FETCH (UID 4" in await ann.say("FETCH 3 (UID RFC822.SIZE)")


async def test_a_damaged_message_costs_only_its_own_response(at: Desk) -> None:
    await at.deliver(letter("first"))
    await at.deliver(letter("second"))
    await at.deliver(letter("third"))
    for key in at.objects_with(b"Subject: second"):
        data = await at.objects.get(key)
        await at.objects.put(key, [data.replace(b"Hi there", b"Hi where")])
    answer = await at.select(read_only=True).say("FETCH 1:3 BODY[]")
    assert b"* 1 FETCH" in answer
    assert b"* 3 FETCH" in answer
    assert b"* 2 FETCH" not in answer
    assert b"NO [CORRUPTION]" in answer


async def test_an_empty_message_among_others(at: Desk) -> None:
    letters = [letter("first"), b"", letter("third")]
    await at.deliver(*letters)
    ann = at.select(read_only=True)
    assert await ann.say("FETCH 1:3 (UID BODY[])") == b"".join(
        [
            b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%b)\r\n" % (len(letters[0]), letters[0]),
            b'* 2 FETCH (UID 2 BODY[] "")\r\n',
            b"* 3 FETCH (UID 3 BODY[] {%d}\r\n%b)\r\n" % (len(letters[2]), letters[2]),
            b"OK FETCH completed\r\n",
        ]
    )
    assert await ann.say("FETCH 2:3 (BODY.PEEK[] RFC822)") == (
        b'* 2 FETCH (BODY[] "" RFC822 "")\r\n* 3 FETCH (BODY[] {%d}\r\n%b RFC822 {%d}\r\n%b)\r\nOK FETCH completed\r\n'
        % (len(letters[2]), letters[2], len(letters[2]), letters[2])
    )


async def test_a_client_that_went_away_stops_the_stream(at: Desk) -> None:
    await at.deliver(*[letter(body="x" * 60_000) for _ in range(40)])
    ann = at.select(read_only=True)
    ann.gone = True
    with pytest.raises(ConnectionResetError):
        await ann.say("FETCH 1:* BODY[]")
    assert ann.drains == 1
    assert sum(map(len, ann.out)) < 1_000_000


async def test_a_large_message_is_not_read_for_a_small_piece(at: Desk) -> None:
    big = letter("big", body="line of text\r\n" * 200_000)
    await at.deliver(big)
    at.forget_bodies()
    read: list[int] = []
    get_range = at.objects.get_range

    async def counting(key: str, start: int, end: int) -> bytes:
        read.append(end - start)
        return await get_range(key, start, end)

    at.objects.get_range = counting  # type: ignore[method-assign]
    answer = await at.select(read_only=True).say("FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT]<1000000.20>)")
    assert b"BODY[TEXT]<1000000> {20}\r\n" + big[big.index(b"\r\n\r\n") + 4 :][1000000:1000020] in answer
    assert sum(read) < 1000


async def test_what_is_read_waits_for_the_budget(at: Desk) -> None:
    await at.deliver(*[letter(body="x" * 1000) for _ in range(10)])
    await at.deliver(letter(body="y" * 500_000))
    ann = at.select(read_only=True, budget=3000)
    answer = await ann.say("FETCH 1:* (BODY.PEEK[])")
    assert answer.count(b"BODY[] {") == 11, "the large one alone may be larger than the budget"
    budget = ann.services.budget
    assert budget.try_take(3000)
    asking = asyncio.create_task(ann.say("FETCH 11 (BODY.PEEK[TEXT]<5.7>)"))
    await asyncio.sleep(0.01)
    assert not asking.done()
    budget.give(3000)
    assert b"BODY[TEXT]<5> {7}\r\nyyyyyyy)" in await asking


GLOBAL = NESTED.replace(b"message/rfc822", b"message/global").replace(b"inner", "grün".encode())


async def test_a_message_with_utf_8_headers_in_a_message(at: Desk) -> None:
    """RFC 9051 §7.5.2: in rev2 it has an envelope, a body and lines; either revision reads what is in it."""
    await at.deliver(GLOBAL)
    ann = at.select()
    for revision in (1, 2):
        ann.enabled.rev2 = revision == 2
        answer = await ann.say("FETCH 1 (BODYSTRUCTURE)")
        envelope = b'(NIL {5}\r\ngr\xc3\xbcn NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii")'
        assert (b'"message" "global" NIL NIL NIL "7bit" 35 ' + envelope in answer) is (revision == 2)
        assert (b'"message" "global" NIL NIL NIL "7bit" 35 NIL NIL NIL NIL)' in answer) is (revision == 1)
        assert "Subject: grün\r\nX-Inner: yes\r\n\r\n".encode() in await ann.say("FETCH 1 (BODY.PEEK[2.HEADER])")
        assert b"BODY[2.1] {3}\r\ntwo)" in await ann.say("FETCH 1 (BODY.PEEK[2.1])")
        assert b"BINARY.SIZE[2.1] 3)" in await ann.say("FETCH 1 (BINARY.SIZE[2.1])")
    assert b" ALL 1\r\n" in await ann.say("SEARCH CHARSET UTF-8 BODY", "GRÜN".encode())
