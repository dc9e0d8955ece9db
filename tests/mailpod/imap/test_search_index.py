"""SEARCH by postings: the answers of a plain scan, from fewer octets."""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.selected import Client, Desk, desk

from mailpod.store import Location

WORDS = "quick brown fox über Straße naïve 東京 日本語 привет мир café Ωmega İstanbul ﬁne x-ray 42 don't".split()  # noqa: SIM905
COUNT = 150


def message(rng: random.Random) -> bytes:
    """In one of many charsets and encodings, some with an attachment of text and one of another kind."""
    text = " ".join(rng.choices(WORDS, k=rng.randrange(3, 40)))
    charset = rng.choice(["utf-8", "utf-8", "utf-16", "iso-2022-jp", "koi8-r", "windows-1252", "gb18030"])
    body = text.encode(charset, "replace")
    encoding = rng.choice(["8bit", "base64", "quoted-printable"])
    if encoding == "base64":
        body = base64.encodebytes(body)
    elif encoding == "quoted-printable":
        body = quopri.encodestring(body)
    subject = base64.b64encode(" ".join(rng.choices(WORDS, k=3)).encode()).decode()
    head = f"Subject: =?utf-8?b?{subject}?=\r\nX-Note: {rng.choice(WORDS).encode().hex()}\r\n"
    part = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    if rng.random() < 0.5:
        return head.encode() + part + body
    attached = base64.encodebytes(" ".join(rng.choices(WORDS, k=5)).encode())
    return b"".join(
        [
            head.encode() + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
            part + body + b"\r\n--b\r\n",
            b"Content-Type: text/csv; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n",
            b"Content-Disposition: attachment; filename=notes.csv\r\n\r\n" + attached + b"\r\n--b\r\n",
            b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + attached + b"\r\n--b--\r\n",
        ]
    )


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk(search_due=8, search_batch=32, search_segment=64, body_cache_bytes=0) as found:
        rng = random.Random(1)
        await found.deliver(*[message(rng) for _ in range(COUNT)])
        while await found.store.index(found.account):
            pass
        await found.deliver(*[message(rng) for _ in range(5)])  # not indexed: too few
        await found.account.expunge(found.account.mailbox("INBOX"), [7, 70, 130])
        yield found


def query(rng: random.Random) -> tuple[str, str]:
    text = " ".join(rng.choices(WORDS, k=rng.choice([1, 1, 2, 3])))
    start = rng.randrange(len(text))
    text = text[start : start + rng.choice([1, 2, 3, 4, 8, 20])]
    text = rng.choice([text, text.upper(), text.lower(), text[::-1]])
    return rng.choice(["BODY", "TEXT", "SUBJECT", "HEADER X-Note"]), text


async def ask(ann: Client, key: str, text: str) -> bytes:
    return await ann.say(f"SEARCH CHARSET UTF-8 {key}", text.encode())


def bodies_read(at: Desk, monkeypatch: pytest.MonkeyPatch) -> list[Location]:
    """What searches read of messages from now on."""
    read: list[Location] = []
    stream = at.store.bodies.stream

    def counting(prefix: str, places: list[Location]) -> AsyncIterator[bytes]:
        read.extend(places)
        return stream(prefix, places)

    monkeypatch.setattr(at.store.bodies, "stream", counting)
    return read


async def test_the_answers_are_those_of_a_scan(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    ann = at.select()
    queries = [query(rng) for _ in range(200)]
    box = ann.view.mailbox
    by_index = [await ask(ann, *each) for each in queries]
    segments, box.search = box.search, []
    box.derived.clear()
    by_scan = [await ask(ann, *each) for each in queries]
    assert segments
    for asked, one, other in zip(queries, by_index, by_scan, strict=True):
        assert one == other, asked
    assert len(set(by_index)) > 50


async def test_only_postings_and_candidates_are_read(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = at.select()
    box = ann.view.mailbox
    words = [await ask(ann, "BODY", word) for word in ("привет", "мир", "東京")]
    candidates = set.intersection(*(set(answer.split(b"\r\n")[0].split()) for answer in words))
    read = bodies_read(at, monkeypatch)
    before = at.store.searching.octets
    answer = await ask(ann, "BODY", "привет мир 東京")
    found = len(answer.split(b"\r\n")[0].split()) - 2
    tail = [uid for uid in box.uids if uid > box.search[-1].terms.last]
    assert found <= len(candidates)
    assert {each.uid for each in read} == set(tail), "of what is indexed, texts decide"
    stored = sum(ref.length for each in box.search for ref in each.refs())
    assert 0 < at.store.searching.octets - before <= stored
    read.clear()
    await ask(ann, "BODY", "never said")
    assert len(read) == len(tail)


async def test_texts_are_read_where_they_may_hold_the_string_and_kept(at: Desk) -> None:
    ann = at.select()
    searching = at.store.searching
    await ask(ann, "BODY", "zzz")
    postings = searching.octets
    await ask(ann, "BODY", "naïve")
    assert searching.octets > postings
    read = searching.octets
    await ask(ann, "BODY", "naïv")
    assert searching.octets == read, "trigrams and texts are those of the last question"


async def test_what_was_found_is_not_read_again(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = at.select()
    first = await ask(ann, "BODY", "мир")
    await at.deliver(b"Subject: new\r\n\r\n" + "МИР".encode())
    await at.account.expunge(ann.view.mailbox, [ann.view.uids[int(first.split()[2]) - 1]])
    read = bodies_read(at, monkeypatch)
    bob = at.select()
    again = await ask(bob, "BODY", "мир")
    assert len(read) == 1
    assert len(again.split()) == len(first.split())  # one less and one more
    assert again.split(b"\r\n")[0].endswith(b" %d" % bob.view.exists)
    assert await ask(bob, "TEXT", "мир") != b"* SEARCH\r\nOK SEARCH completed\r\n"
    assert len(read) == 1 + 6, "another question: of what is not indexed"
