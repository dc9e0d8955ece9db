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
