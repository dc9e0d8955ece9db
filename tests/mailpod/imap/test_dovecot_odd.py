"""All that FETCH, SEARCH, SORT and THREAD say of odd mail, beside Dovecot 2.3: the same, but for odd_differences.py."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness.need import missing
from tests.mailpod.imap import odd_differences as differ
from tests.mailpod.imap.oddmail import comparable, letters, ours, part_items, with_crlf
from tests.mailpod.mime import dovecot

from mailpod.mime.scan import scan

pytestmark = pytest.mark.slow

ITEMS = "ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE RFC822.HEADER BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT]"
KEYS = ("ARRIVAL", "DATE", "SUBJECT", "FROM", "TO", "CC", "SIZE", "DISPLAYFROM", "DISPLAYTO")
WORDS = (
    "test",
    "the",
    "multipart",
    "boundary",
    "image",
    "message",
    "content",
    "plain",
    "x",
    "barry",
    "Grüße",
    "Привет",
)
BODY = ("TEXT", "BODY")
FIELDS = ("Message-ID", "Received", "Content-Type", "X-Mailer", "Date", "References", "To", "Subject", "Return-Path")
DATES = ("1-Jan-1990", "1-Jan-2001", "20-Apr-2001", "4-May-2001")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that Dovecot can reach when it has dropped root: pytest's own are closed to others."""
    if not dovecot.IMAP.exists():
        missing("dovecot-imapd")
    folder = Path(tempfile.mkdtemp(prefix="mailpod-odd-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


async def test_every_letter_is_stored_byte_for_byte() -> None:
    stored = letters()
    answers = await ours(list(stored.values()), ["FETCH 1:* (RFC822.SIZE BODY.PEEK[])"])
    for letter, items in zip(stored.values(), dovecot.fetched(answers, len(stored)), strict=True):
        assert items[b"BODY[]"] == letter
        assert items[b"RFC822.SIZE"] == len(letter)


async def test_every_item_of_every_letter_and_part(home: Path) -> None:
    named = {name: with_crlf(letter) for name, letter in letters().items()}
    mine, theirs = await both(home / "whole", list(named.values()), [f"FETCH 1:* ({ITEMS})"])
    asked = [part_items(b[b"BODY"], a[b"BODY"]) for a, b in zip(mine, theirs, strict=True)]
    # Dovecot leaves in the middle of some BINARY: these are last
    commands = [
        f"FETCH {number} ({items[kind]})" for kind in (0, 1) for number, items in enumerate(asked, 1) if items[kind]
    ]
    for known, found in zip((mine, theirs), await both(home / "parts", list(named.values()), commands), strict=True):
        for items, parts in zip(known, found, strict=True):
            items |= parts
    found = {
        name: {item.decode() for item in {*a, *b} if comparable(item, a.get(item)) != comparable(item, b.get(item))}
        for name, a, b in zip(named, mine, theirs, strict=True)
    }
    assert {name: items for name, items in found.items() if items} == {
        name: set(items) for name, (_, items) in differ.FETCH.items()
    }


async def both(home: Path, messages: list[bytes], commands: list[str]) -> tuple[list[dict[bytes, Any]], ...]:
    """Our items and Dovecot's, message by message."""
    answers = dovecot.answers(home, messages, commands), await ours(messages, commands)
    theirs, mine = ([dict(items) for items in dovecot.fetched(each, len(messages))] for each in answers)
    for items in theirs:
        items.pop(b"UID", None)  # Dovecot sends it with what it could not decode
    return mine, theirs


async def results(home: Path, messages: list[bytes], commands: list[str]) -> dict[str, tuple[str, str]]:
    """What both say to commands that are answered in one line each."""
    theirs = re.findall(rb"^\* (?:SEARCH|SORT|THREAD)[^\r]*", dovecot.ask(home, messages, commands), re.MULTILINE)
    mine = [answer.untagged[0] for answer in await ours(messages, commands)]
    pairs = zip(commands, mine, theirs, strict=True)
    return {command: (a.decode().rstrip(), b.decode().rstrip()) for command, a, b in pairs}


async def test_sort_by_each_key_and_threads(home: Path) -> None:
    named = {name: with_crlf(letter) for name, letter in letters().items()}
    number = {name: at for at, name in enumerate(named, 1)}
    commands = [f"{order}{key}" for key in KEYS for order in ("", "REVERSE ")]
    asked = {f"SORT ({by}) UTF-8 ALL": by for by in commands}
    asked |= {f"THREAD {kind} UTF-8 ALL": "DATE" for kind in ("REFERENCES", "ORDEREDSUBJECT", "REFS")}
    met = set()
    for command, (mine, theirs) in (await results(home, list(named.values()), list(asked))).items():
        if mine != theirs:
            moved = [name for name, (_, keys) in differ.ORDER.items() if asked[command].split()[-1] in keys]
            met |= set(moved)
            mine, theirs = (without(each, [number[name] for name in moved]) for each in (mine, theirs))
        assert mine == theirs, command
    assert met == differ.ORDER.keys()


def without(response: str, numbers: list[int]) -> str:
    for number in numbers:
        response = re.sub(rf" {number}(?= |$)|\({number}\)", "", response)
    return response


async def test_search_for_dates_sizes_and_fields(home: Path) -> None:
    named = {name: with_crlf(letter) for name, letter in letters().items()}
    dates = [f"SEARCH {key} {date}" for date in DATES for key in ("SENTON", "SENTSINCE", "BEFORE", "ON", "SINCE")]
    early = [f"SEARCH SENTBEFORE {date}" for date in DATES]
    undated = "SEARCH SENTON 1-Jan-1970"
    fields = [f'SEARCH CHARSET UTF-8 HEADER {field} "{text}"' for field in FIELDS for text in ("", "a", "com", "ü")]
    sizes = [f"SEARCH {key} {size}" for size in (0, 100, 478, 1000, 10_000) for key in ("LARGER", "SMALLER")]
    kinds = [f'SEARCH CHARSET UTF-8 {key} "{word}"' for word in WORDS for key in ("SUBJECT", "FROM", "TO", "CC", "BCC")]
    commands = [undated, *dates, *early, *fields, *sizes, *kinds]
    answers = await results(home, list(named.values()), commands)
    names = list(named)
    found = {command: tuple(matched(names, each) for each in pair) for command, pair in answers.items()}
    none, assumed = found.pop(undated)
    assert not none, differ.UNDATED
    odd = "msg_47.txt"  # differ.ORDER says how its Date is read
    assert odd in assumed
    for command in early:
        mine, theirs = found.pop(command)
        assert mine - {odd} == theirs - assumed, (command, differ.UNDATED)
    for command, (mine, theirs) in found.items():
        if command.startswith('SEARCH CHARSET UTF-8 FROM "x"'):
            assert theirs - mine == {"msg_43.txt"}, differ.NO_ADDRESS
            theirs -= {"msg_43.txt"}
        assert mine - {odd} == theirs - {odd}, command
    assert odd in found["SEARCH SENTON 1-Jan-2001"][0]


def matched(names: list[str], response: str) -> set[str]:
    return {names[int(number) - 1] for number in response.split()[2:]}


async def test_search_for_words_in_the_body(home: Path) -> None:
    named = {name: with_crlf(letter) for name, letter in letters().items()}
    commands = [f'SEARCH CHARSET UTF-8 {key} "{word}"' for word in WORDS for key in BODY]
    answers = await results(home, list(named.values()), commands)
    names = list(named)
    headers = {name: part_headers(letter) for name, letter in named.items()}
    met: set[str] = set()
    for word in WORDS:
        text, body = (
            [matched(names, each) for each in answers[f'SEARCH CHARSET UTF-8 {key} "{word}"']] for key in BODY
        )
        in_headers = {name for name, header in headers.items() if word.encode().lower() in header}
        assert text[0] >= text[1], word
        assert body[0] >= body[1] | in_headers, (word, differ.PART_HEADERS)
        met |= (text[0] - text[1]) | (body[0] - body[1] - in_headers)
    assert met == differ.NOT_TEXT.keys()


def part_headers(letter: bytes) -> bytes:
    """The headers of all parts but the message's own, in lower case."""
    rows = scan(letter).parts
    return b"\n".join(letter[rows[at + 2] : rows[at + 3]] for at in range(5, len(rows), 5)).lower()
