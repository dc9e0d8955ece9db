"""I18NLEVEL=1: RFC 5255 §4.2, §4.3 and §4.6, with RFC 5051's comparison."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Client, Desk, desk

SAME = [
    ("Größe", "GRÖßE"),
    ("e\u0301tude", "Étude"),
    ("Ǆ", "ǆ"),
    ("ΣΊΣΥ", "σίςυ"),
    ("ｗｉｄｅ", "WIDE"),
    ("ı", "I"),
]
OTHER = [
    ("Größe", "GRÖSSE"),
    ("ﬁx", "FIX"),
    ("가", "\u1100\u1161"),
    ("e\u0323\u0301", "e\u0301"),
    ("\U0001d41a\U0001d41b\U0001d41c", "abc"),
]
KEYS = ("BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO", "HEADER X-Note", "HEADER Subject")


def word(text: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


def letter(text: str) -> bytes:
    fields = [f"{name}: {word(text)} <x@y.test>\r\n" for name in ("From", "To", "Cc", "Bcc")]
    fields += [f"{name}: {word(text)}\r\n" for name in ("Subject", "X-Note")]
    return ("".join(fields) + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + text).encode()


@pytest.fixture(params=["scanned", "indexed"])
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with desk(search_due=1 if request.param == "indexed" else 0) as found:
        yield found


async def filled(at: Desk, *texts: str) -> Client:
    await at.deliver(*map(letter, texts))
    while await at.store.index(at.account):
        pass
    return at.select()


async def found(client: Client, key: str, text: str) -> list[int]:
    answer = await client.say(f"SEARCH CHARSET UTF-8 {key}", text.encode())
    assert answer.endswith(b"OK SEARCH completed\r\n"), answer
    return list(map(int, answer.split(b"\r\n")[0].split()[2:]))


async def test_every_search_key_with_a_string_compares_so(at: Desk) -> None:
    ann = await filled(at, *(one for one, _ in SAME + OTHER))
    for number, (text, asked) in enumerate(SAME, 1):
        for key in KEYS:
            assert number in await found(ann, key, asked), (key, text, asked)
            assert number in await found(ann, key, text), (key, text)
    for number, (text, asked) in enumerate(OTHER, len(SAME) + 1):
        for key in KEYS:
            assert number not in await found(ann, key, asked), (key, text, asked)
            assert number in await found(ann, key, text), (key, text)


async def test_sort_keys_compare_so(at: Desk) -> None:
    """By code points of what RFC 5051 makes of them: É comes before F, and ß behind all of ASCII."""
    subjects = ("zoo", "Straße", "STRASSE", "É", "e", "F", "straßE", "ﬁx", "FIX")
    ann = await filled(at, *subjects)
    answer = await ann.say("SORT (SUBJECT) UTF-8 ALL")
    order = [subjects[int(number) - 1] for number in answer.split(b"\r\n")[0].split()[2:]]
    assert order == ["e", "É", "F", "FIX", "STRASSE", "Straße", "straßE", "zoo", "ﬁx"]


async def test_senders_and_recipients_are_sorted_so(at: Desk) -> None:
    for name in ("ß", "Z", "é", "e", "E"):
        await at.deliver("".join(f"{field}: {name}@y.test\r\n" for field in ("From", "To", "Cc")).encode() + b"\r\n")
    while await at.store.index(at.account):
        pass
    ann = at.select()
    for key in ("FROM", "TO", "CC"):
        assert (await ann.say(f"SORT ({key}) UTF-8 ALL")).split(b"\r\n")[0] == b"* SORT 4 5 3 2 1", key


async def test_threads_compare_subjects_so(at: Desk) -> None:
    ann = await filled(at, "Re: Größe", "GRÖßE", "GRÖSSE")
    for algorithm in ("ORDEREDSUBJECT", "REFERENCES"):
        answer = (await ann.say(f"THREAD {algorithm} UTF-8 ALL")).split(b"\r\n")[0]
        assert answer in (b"* THREAD (1 2)(3)", b"* THREAD (2 1)(3)"), algorithm


async def test_what_cannot_be_decoded_is_sorted_behind_the_rest(at: Desk) -> None:
    """RFC 5255 §4.6, the four strings of its example, in its order: 4, 2, 3, 1."""
    words = [
        (b"utf-8", "D0C0D0BDD0B4D180D0B5D0B9"),
        (b"utf-8", "D181D095D0A0D093D095D099"),
        (b"utf-8", "D092D0B0D181D0B8D0BBD0B8FFB9"),
        (b"koi8-r", "E1CCC5CBD3C5CA"),
    ]
    encoded = [b"=?%b?b?%b?=" % (charset, base64.b64encode(bytes.fromhex(octets))) for charset, octets in words]
    for each in encoded:
        await at.deliver(b"Subject: Re: %b\r\nFrom: %b <x@y.test>\r\n\r\n" % (each, each))
    while await at.store.index(at.account):
        pass
    ann = at.select()
    for key in ("SUBJECT", "DISPLAYFROM"):
        assert (await ann.say(f"SORT ({key}) UTF-8 ALL")).split(b"\r\n")[0] == b"* SORT 4 2 3 1", key


async def test_octets_are_found_where_the_charset_is_not_what_is_said(at: Desk) -> None:
    """RFC 5255 §4.6 (c)."""
    text = "naïve größe".encode()
    for charset, body in (
        ("x-none", text),
        ("us-ascii", b"\xff" + text),
        ("utf-8", text + b"\xff"),
        ("iso-2022-jp", text),
    ):
        kind = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
        await at.deliver(b"Subject: =?%b?b?%b?=\r\n" % (charset.encode(), base64.b64encode(body)) + kind + body)
    while await at.store.index(at.account):
        pass
    ann = at.select()
    for key in ("BODY", "TEXT", "SUBJECT"):
        assert await found(ann, key, "ïve grö") == [1, 2, 3, 4], key
