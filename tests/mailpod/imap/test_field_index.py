"""SEARCH of header fields by columns beside postings: the answers of a scan of pages, which are not read for it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.mailpod.imap.selected import Client, Desk, desk

from mailpod.store import Mailbox
from mailpod.store.searching import Searching

NAMES = ["ann", "Ann B", "Ünal", "=?utf-8?q?=C3=89mile?=", "=?utf-8?b?YW5uCkZyb206IGV2ZQ==?=", '"B, ann"', "東京", ""]
ADDRESSES = ["<ann@x.example>", "bob@y.example", "bob (c) @ y.example", '"a b"@x.example', "G: a@b, c@d;", "<>", "é@x"]
PIECES = ["ann", "AN", "bob@y", "a b@x", "émile", "É", "\nfrom: eve", "東", "x.example", "(c)", " ", "@", "g: a", "fwd"]
KEYS = ["FROM", "TO", "CC", "BCC", "SUBJECT", "HEADER Message-ID", "HEADER From", "NOT FROM", "UID 3:40 FROM"]
COUNT = 70


def message(rng: random.Random, number: int) -> bytes:
    lines = [f"Message-ID: <{number}@ann.example>"]
    for name in ("From", "To", "Cc", "Bcc", "From", "To"):
        if rng.random() < 0.5:
            some = [f"{rng.choice(NAMES)} {rng.choice(ADDRESSES)}" for _ in range(rng.randrange(3))]
            lines.append(f"{name}: " + ",\r\n ".join(some))
    if rng.random() < 0.1:
        lines.append("To: " + "ann@x.example, " * 300)
    lines.append(f"Subject: {rng.choice(['Re: ', 'Fwd:'])}{rng.choice(NAMES)}")
    return "\r\n".join([*lines, "", "text"]).encode()


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk(search_due=8, search_batch=16, search_segment=32) as found:
        rng = random.Random(3)
        await found.deliver(*[message(rng, number) for number in range(COUNT - 5)])
        while await found.store.index(found.account):
            pass
        await found.deliver(*[message(rng, number) for number in range(COUNT - 5, COUNT)])  # not indexed: too few
        await found.account.expunge(found.account.mailbox("INBOX"), [7, 33, 50])
        yield found


async def ask(ann: Client, key: str, text: str) -> bytes:
    return await ann.say(f"SEARCH CHARSET UTF-8 {key}", text.encode())


def pages_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """UIDs of which pages are asked for from now on."""
    asked: list[int] = []
    pages = Mailbox.pages

    def counting(box: Mailbox, uids: Sequence[int], **how: Any) -> Any:
        asked.extend(uids)
        return pages(box, uids, **how)

    monkeypatch.setattr(Mailbox, "pages", counting)
    return asked


async def test_the_answers_are_those_of_a_scan(at: Desk) -> None:
    ann = at.select()
    box = ann.view.mailbox
    queries = [(key, text) for key in KEYS for text in PIECES]
    by_index = [await ask(ann, *each) for each in queries]
    again = [await ask(ann, *each) for each in queries]
    segments, box.search = box.search, []
    box.derived.clear()
    by_scan = [await ask(ann, *each) for each in queries]
    assert len(segments) == 2
    for asked, one, other, last in zip(queries, by_index, again, by_scan, strict=True):
        assert one == other == last, asked
    assert len(set(by_index)) > 40


async def test_pages_are_read_for_what_no_column_says(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = at.select()
    box = ann.view.mailbox
    read = pages_read(monkeypatch)
    tail = [uid for uid in box.uids if uid > box.search[-1].terms.last]
    before = at.store.searching.octets
    await ask(ann, "FROM", "ann")
    assert read == tail
    stored = sum(ref.length for each in box.search for ref in (each.terms, each.postings))
    assert 0 < at.store.searching.octets - before < stored
    read.clear()
    await ask(ann, "TO", "ann")
    assert set(read) > set(tail), "rows that are too long"
    read.clear()
    await ask(at.select(), "TO", "ANN")
    assert read == [], "asked before"
    [uid] = await at.deliver(b"To: ann@x\r\n\r\n")
    await ask(at.select(), "TO", "ann")
    assert read == [uid]


async def test_a_damaged_column_is_passed_over(at: Desk) -> None:
    ann = at.select()
    box = ann.view.mailbox
    answer = await ask(ann, "SUBJECT", "ann")
    box.derived.clear()
    at.store.searching = Searching(at.objects, at.store.settings)  # which knows nothing yet
    key = f"{at.account.prefix}page/{box.search[1].postings.id}"
    data, version = at.objects._objects[key]
    at.objects._objects[key] = (bytes(len(data)), version)
    assert await ask(ann, "SUBJECT", "ann") == answer
    assert len(box.search) == 1, "it is written again, and what is behind it"
