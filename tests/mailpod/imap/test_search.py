"""SEARCH and UID SEARCH: RFC 3501 §6.4.4."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Client, Desk, desk, letter

from mailpod.imap.searchtext import Needle

ENCODED = (
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=\r\nFrom: =?iso-8859-1?b?SvZyZw==?= <j@example.net>\r\n"
    b"To: undisclosed;\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes("Schöne Grüße aus der ÜBERSICHT".encode())
)
FOLDED = (
    b"Subject: a subject that\r\n  is folded\r\nX-Odd: Value One\r\n"
    b"Date: Sun, 06 Feb 1994 23:30:00 -0800\r\n\r\nBody\r\n"
)
QUOTED = (
    b"From: b@c\r\nCc: Team <team@example.org>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nNa=EFve soft=\r\nline\r\n"
)


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(letter("plain", "The Quick brown fox\r\n"), flags=("\\Seen", "Work"), date=86400)
        await found.deliver(ENCODED, flags=("\\Flagged",), date=86400 * 2 - 1)
        await found.deliver(FOLDED, date=86400 * 2)
        found.account.mailbox("INBOX").claim_recent()
        await found.deliver(QUOTED, flags=("\\Seen",), date=86400 * 3)
        yield found


@pytest.fixture
async def ann(at: Desk) -> Client:
    return at.select()


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("ALL", "1 2 3 4"),
        ("SEEN", "1 4"),
        ("UNSEEN", "2 3"),
        ("FLAGGED", "2"),
        ("UNFLAGGED SEEN", "1 4"),
        ("KEYWORD work", "1"),
        ("UNKEYWORD WORK", "2 3 4"),
        ("RECENT", "4"),
        ("OLD", "1 2 3"),
        ("NEW", ""),
        ("NOT SEEN", "2 3"),
        ("OR SEEN FLAGGED", "1 2 4"),
        ("OR (SEEN KEYWORD Work) (NOT SEEN NOT FLAGGED)", "1 3"),
        ("2:3", "2 3"),
        ("NOT 2:3", "1 4"),
        ("*", "4"),
        ("UID 3:99", "3 4"),
        ("UID 77", ""),
        ("SEEN 1:2", "1"),
        ("ON 2-Jan-1970", "1 2"),
        ("BEFORE 3-Jan-1970", "1 2"),
        ("SINCE 3-Jan-1970", "3 4"),
        ("SENTON 7-Feb-1994", "1"),
        ("SENTBEFORE 7-Feb-1994", "3"),
        ("SENTSINCE 6-Feb-1994", "1 3"),
        ("LARGER 200", "2"),
        ("SMALLER 130", "1 3"),
        ("LARGER 4294967296", ""),
        ("SMALLER 9223372036854775807", "1 2 3 4"),
        ("SUBJECT PLAIN", "1"),
        ('SUBJECT "that is FOLDED"', ""),
        ('SUBJECT "that  is"', "3"),
        ('SUBJECT ""', "1 2 3"),
        ('HEADER "" plain', ""),
        ('HEADER "" ""', ""),
        ("FROM ann@EXAMPLE", "1"),
        ("CC team", "4"),
        ("TO undisclosed", "2"),
        ("BCC x", ""),
        ("HEADER X-Odd one", "3"),
        ("HEADER X-Odd two", ""),
        ('HEADER X-Odd ""', "3"),
        ('HEADER Subject ""', "1 2 3"),
        ("BODY quick", "1"),
        ('BODY "quick brown"', "1"),
        ("BODY plain", ""),
        ("TEXT plain", "1 2 4"),
        ("BODY softline", "4"),
        ('TEXT "Value One"', "3"),
        ("NOT TEXT plain", "3"),
        ("TEXT plain NOT SUBJECT plain", "2 4"),
    ],
)
async def test_keys(ann: Client, program: str, found: str) -> None:
    assert await ann.say(f"SEARCH {program}") == f"* SEARCH {found}".strip().encode() + b"\r\nOK SEARCH completed\r\n"


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("SUBJECT", "grüße aus", b"2"),
        ("SUBJECT", "GRÜßE", b"2"),
        ("SUBJECT", "GRÜSSE", b""),  # RFC 5051 §2: ß has no titlecase of one letter
        ("SUBJECT", "Ko\u0308ln", b"2"),
        ("FROM", "jörg", b"2"),
        ("BODY", "übersicht", b"2"),
        ("TEXT", "köln", b"2"),
        ("BODY", "naïve", b"4"),
        ("BODY", "ŝ", b""),
    ],
)
async def test_text_in_any_charset(ann: Client, key: str, text: str, found: bytes) -> None:
    answer = await ann.say(f"SEARCH CHARSET UTF-8 {key}", text.encode())
    assert answer == b" ".join(filter(None, (b"* SEARCH", found))) + b"\r\nOK SEARCH completed\r\n"


async def test_an_address_is_found_however_it_is_written(at: Desk) -> None:
    """RFC 3501 §6.4.4: in the envelope, where it has no comments, white space and quotes."""
    await at.deliver(b'From: <zoe (who)@ (where) example.org>\r\nBcc: "zoe"@example.net\r\n\r\nx\r\n')
    ann = at.select()
    for program in ("FROM zoe@example.org", "BCC zoe@example.net", 'FROM "(who)"', 'FROM "zoe (who)@"'):
        assert await ann.say(f"SEARCH {program}") == b"* SEARCH 5\r\nOK SEARCH completed\r\n", program
    assert await ann.say("SEARCH SUBJECT zoe@example.org") == b"* SEARCH\r\nOK SEARCH completed\r\n"


async def test_uid_search_gives_uids(at: Desk) -> None:
    await at.account.expunge(at.account.mailbox("INBOX"), [1, 2])
    ann = at.select()
    assert await ann.say("UID SEARCH ALL") == b"* SEARCH 3 4\r\nOK UID SEARCH completed\r\n"
    assert await ann.say("SEARCH ALL") == b"* SEARCH 1 2\r\nOK SEARCH completed\r\n"
    assert await ann.say("UID SEARCH 1") == b"* SEARCH 3\r\nOK UID SEARCH completed\r\n"


async def test_an_empty_mailbox(at: Desk) -> None:
    ann = at.select("Drafts")
    for program in ("ALL", "1:*", "TEXT x", "NOT SEEN", "UID 1:*"):
        assert await ann.say(f"SEARCH {program}") == b"* SEARCH\r\nOK SEARCH completed\r\n"


async def test_numbers_that_no_message_has_find_nothing(ann: Client) -> None:
    """As in Dovecot; RFC 3501 §9 has 6:* and *:6 name the same messages, the last among them."""
    everyone = await ann.say("SEARCH ALL")
    last = await ann.say("SEARCH *")
    assert last != everyone
    for program, found in (
        ("5", b"* SEARCH\r\n"),
        ("1:9", everyone),
        ("5:*", last),
        ("*:7", last),
        ("NOT 9", everyone),
    ):
        assert found in await ann.say(f"SEARCH {program}"), program


async def test_no_expunge_is_told_during_search(at: Desk, ann: Client) -> None:
    await at.account.expunge(ann.view.mailbox, [1])
    assert await ann.say("SEARCH UNSEEN") == b"* SEARCH 2 3\r\nOK [EXPUNGEISSUED] SEARCH completed\r\n", "RFC 5530 §3"
    assert (
        await ann.say("UID SEARCH UNSEEN")
        == b"* SEARCH 2 3\r\n* 1 EXPUNGE\r\n* 1 RECENT\r\nOK UID SEARCH completed\r\n"
    )


async def test_only_what_is_still_open_is_read(at: Desk, ann: Client) -> None:
    read: list[int] = []
    stream = at.store.bodies.stream

    def counting(prefix: str, places: list[object]) -> AsyncIterator[bytes]:
        read.append(len(places))
        return stream(prefix, places)  # type: ignore[arg-type]

    at.store.bodies.stream = counting  # type: ignore[method-assign, assignment]
    await ann.say("SEARCH BODY quick SEEN LARGER 100 SINCE 2-Jan-1970 SUBJECT plain")
    assert read == [1]
    await ann.say("SEARCH BODY quick FLAGGED SEEN")
    assert read == [1]


async def test_a_client_that_went_away_stops_the_search(at: Desk) -> None:
    await at.deliver(*[letter(body="x" * 1000) for _ in range(100)])
    ann = at.select()
    ann.gone = True
    with pytest.raises(ConnectionResetError):
        await ann.say("SEARCH BODY y")
    assert ann.drains == 1


def test_the_cheap_look_never_hides_a_match() -> None:
    header = b"Subject: one two\r\n three\r\n\r\n"
    assert Needle("two three").in_fields(header, b"subject")
    assert Needle(" ").in_fields(header, b"subject")
    assert Needle("").in_fields(header, b"subject")
    assert not Needle("").in_fields(header, b"from")
    assert Needle("k").possible("\u212a".encode()), "KELVIN SIGN is a K"
    assert Needle("é").possible(b"=?utf-8?q?=C3=A9?=")
    assert not Needle("é").possible(b"plain")
