"""SORT and THREAD by what is kept beside search postings: the answers that pages give, without pages."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from tests.mailpod.imap.selected import Desk, desk

from mailpod.mime.keys import Ids, Subject
from mailpod.store import Mailbox
from mailpod.store.page import BadPage
from mailpod.store.sortkeys import Keys, join_keys, pack_keys, unpack_column

COUNT = 60
COMMANDS = [
    "SORT (SUBJECT) UTF-8 ALL",
    "SORT (DATE) UTF-8 ALL",
    "SORT (REVERSE SUBJECT DATE) UTF-8 ALL",
    "UID SORT (DATE) UTF-8 NOT 10:20",
    "SORT (SUBJECT FROM) UTF-8 ALL",
    "SORT (FROM TO) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 ALL",
    "THREAD REFS UTF-8 ALL",
    "UID THREAD REFERENCES UTF-8 5:50",
]


def message(rng: random.Random, number: int) -> bytes:
    subject = rng.choice(["Re: [list] ", "", "fwd: "]) + rng.choice(
        ["one", "Two", "=?utf-8?q?=C3=9Cber?=", "", "three (fwd)"]
    )
    lines = [f"Subject: {subject}", f"From: {rng.choice('abc')}@x", f"Message-ID: <{number}@x>"]
    if rng.random() < 0.8:
        lines.append(f"Date: {rng.randrange(1, 29)} Feb 1994 21:52:25 {rng.choice(['-0800', '+0000', '+0530'])}")
    if rng.random() < 0.5:
        lines.append("References: " + " ".join(f"<{rng.randrange(COUNT)}@x>" for _ in range(3)))
    elif rng.random() < 0.5:
        lines.append(f"In-Reply-To: <{rng.randrange(COUNT)}@x>")
    return "\r\n".join([*lines, "", "text"]).encode()


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk(search_due=8, search_batch=16, search_segment=32) as found:
        rng = random.Random(4)
        await found.deliver(*[message(rng, number) for number in range(COUNT - 5)])
        while await found.store.index(found.account):
            pass
        await found.deliver(*[message(rng, number) for number in range(COUNT - 5, COUNT)])  # not indexed: too few
        await found.account.expunge(found.account.mailbox("INBOX"), [7, 33])
        yield found


async def test_the_answers_are_those_of_pages(at: Desk) -> None:
    ann = at.select()
    box = ann.view.mailbox
    by_index = [await ann.say(command) for command in COMMANDS]
    segments, box.search = box.search, []
    box.derived.clear()
    assert len(segments) == 2
    for command, answer in zip(COMMANDS, by_index, strict=True):
        assert await ann.say(command) == answer, command


async def test_pages_are_read_for_what_is_not_indexed_only(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = at.select()
    box = ann.view.mailbox
    asked: list[int] = []
    pages = Mailbox.pages

    def counting(box: Mailbox, uids: Sequence[int], **how: Any) -> Any:
        asked.extend(uids)
        return pages(box, uids, **how)

    monkeypatch.setattr(Mailbox, "pages", counting)
    await ann.say("THREAD REFERENCES UTF-8 ALL")
    assert asked == [uid for uid in box.uids if uid > box.search[-1].terms.last]
    assert 0 < len(asked) < 20


def test_rows_are_written_and_joined() -> None:
    one = [
        Keys(1, Subject("é", reply=True), Ids(b"a@x", (b"b@x",)), "ann"),
        Keys(-5, Subject("", reply=False), Ids(b"", ()), ""),
    ]
    packed = pack_keys(one)
    both = join_keys((packed, 2), (pack_keys(one[:1]), 1))
    columns = [unpack_column(both, name, 3).values for name in ("sent", "subjects", "ids", "senders")]
    assert list(map(Keys, *columns)) == [*one, one[0]]
    assert unpack_column(both, "bases", 3).values == ["é", "", "é"]
    assert join_keys((packed, 2), (b"", 1)) == b""
    assert pack_keys([Keys(1, Subject("\ud800", reply=False), Ids(b"", ()), "")]) == b""
    for damaged in (packed[:-1], packed + b"x", b"\x93\x01\x02\x03"):
        with pytest.raises(BadPage):
            unpack_column(damaged, "ids", 2)
    with pytest.raises(BadPage):
        unpack_column(packed, "ids", 3)
    with pytest.raises(BadPage):
        unpack_column(msgspec.msgpack.encode([[2**63], [], [], []]), "sent", 1)
