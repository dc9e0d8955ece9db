"""SEARCH=FUZZY: RFC 6203."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.selected import Client, Desk, desk, letter

from mailpod.mime.collation import casemap
from mailpod.mime.likeness import Likeness
from mailpod.store import NewMessage

SUBJECTS = ("Hello", "helo", "Meeting on Monday", "broken IMAP", "IMAP break", "hallo all", "nothing", "Caf\u00e9")


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(*(letter(subject, body=f"{subject[::-1]}\r\n") for subject in SUBJECTS))
        yield found


async def found(client: Client, program: str) -> str:
    answer = await client.say(f"SEARCH {program}")
    assert answer.endswith(b"OK SEARCH completed\r\n"), answer
    return answer.split(b"\r\n")[0].decode().removeprefix("* SEARCH").strip()


async def test_the_next_key_is_matched_fuzzily(at: Desk) -> None:
    """RFC 6203 §3: it takes one key, and the others stay as they are."""
    ann = at.select()
    assert await found(ann, "SUBJECT helo") == "2"
    assert await found(ann, "FUZZY SUBJECT helo") == "1 2"
    assert await found(ann, "FUZZY SUBJECT hello") == "1 2 6"
    assert await found(ann, 'FUZZY SUBJECT "IMAP break"') == "5"
    assert await found(ann, 'FUZZY SUBJECT "broke imap"') == "4"
    assert await found(ann, "FUZZY SUBJECT cafe") == "8"
    assert await found(ann, "SUBJECT helo FUZZY SUBJECT hello") == "2"
    assert await found(ann, "FUZZY SUBJECT hello SUBJECT hello") == "1"
    assert await found(ann, "FUZZY (OR SUBJECT hello SUBJECT meetings)") == "1 2 3 6"
    assert await found(ann, "FUZZY (SUBJECT hello SUBJECT helo)") == "1 2"
    assert await found(ann, "NOT FUZZY SUBJECT hello") == "3 4 5 7 8"
    assert await found(ann, "FUZZY NOT SUBJECT helo") == "1 3 4 5 6 7 8", "as it says"


async def test_letters_that_are_others_in_full(at: Desk) -> None:
    """RFC 5051 maps a letter to one capital, so SEARCH tells these apart (I18NLEVEL=1); FUZZY does not."""
    await at.deliver(*(letter(body=f"{text}\r\n") for text in ("Stra\u00dfe", "STRASSE", "\ufb01ne", "Fine")))
    ann = at.select()
    assert await found(ann, "BODY strasse") == "10"
    assert await found(ann, "FUZZY BODY strasse") == "9 10"
    assert await found(ann, "BODY fine") == "12"
    assert await found(ann, "FUZZY BODY fine") == "11 12"


async def test_keys_without_a_string_are_exact(at: Desk) -> None:
    """RFC 6203 §5: it is for us to say what is meant."""
    ann = at.select()
    for program in ("1:3", "UID 2:4", "SEEN", "UNSEEN SMALLER 300", "SINCE 1-Feb-1970", "LARGER 1", 'SUBJECT ""'):
        assert await found(ann, f"FUZZY ({program})") == await found(ann, program)


async def test_relevancy(at: Desk) -> None:
    """RFC 6203 §4: 1 to 100, of the messages in their order; what holds the string itself has most."""
    ann = at.select()
    answer = await ann.say("SEARCH RETURN (RELEVANCY ALL) FUZZY SUBJECT hello")
    assert answer.split(b"\r\n")[0] == b'* ESEARCH (TAG "a") ALL 1:2,6 RELEVANCY (100 60 60)'
    answer = await ann.say("UID SEARCH RETURN (PARTIAL 2:9 RELEVANCY) FUZZY SUBJECT hello")
    assert answer.split(b"\r\n")[0] == b'* ESEARCH (TAG "a") UID PARTIAL (2:9 2,6) RELEVANCY (60 60)'
    answer = await ann.say("SEARCH RETURN (RELEVANCY COUNT) FUZZY SUBJECT unheard")
    assert answer.split(b"\r\n")[0] == b'* ESEARCH (TAG "a") COUNT 0 RELEVANCY ()'
    answer = await ann.say("SEARCH RETURN (RELEVANCY ALL) 1:2 OR SUBJECT hello FUZZY SUBJECT helo")
    assert b"ALL 1:2 RELEVANCY (100 100)" in answer, "of what no fuzzy key found"
    for wrong in ("SEARCH RETURN (RELEVANCY) SUBJECT hello", "SORT (RELEVANCY) UTF-8 SUBJECT hello"):
        assert (await ann.say(wrong)).startswith(b"BAD ")


async def test_sorted_by_relevancy(at: Desk) -> None:
    """RFC 6203 §6: the highest first."""
    ann = at.select()
    assert (await ann.say("SORT (RELEVANCY) UTF-8 FUZZY SUBJECT helo")).startswith(b"* SORT 2 1\r\n")
    assert (await ann.say("SORT (REVERSE RELEVANCY) UTF-8 FUZZY SUBJECT helo")).startswith(b"* SORT 1 2\r\n")
    assert (await ann.say("SORT (RELEVANCY SUBJECT) UTF-8 FUZZY SUBJECT hello")).startswith(b"* SORT 1 6 2\r\n")
    answer = await ann.say("SORT RETURN (RELEVANCY ALL) (RELEVANCY) UTF-8 FUZZY SUBJECT helo")
    assert answer.startswith(b'* ESEARCH (TAG "a") ALL 2,1 RELEVANCY (100 56)\r\n')
    answer = await ann.say("SORT RETURN (PARTIAL 2:9 RELEVANCY) (RELEVANCY) UTF-8 FUZZY SUBJECT helo")
    assert answer.startswith(b'* ESEARCH (TAG "a") PARTIAL (2:9 1) RELEVANCY (56)\r\n')


WORDS = [
    *("invoice", "invoices", "invoiced", "meeting", "meetings", "meting", "quarterly", "budget", "hello", "helo"),
    *("caf\u00e9", "cafe", "stra\u00dfe", "fu\u00df", "\ufb01ne", "\u6771\u4eac"),
]
ASKED = (
    *("invioce", "meeting", "quaterly budget", "cafe", "strase", "helo", "\u6771\u4eac", "invoic", "don't", "a"),
    *("STRASSE", "stra\u00dfe", "Fuss", "fine"),
)


async def test_by_postings_as_by_reading() -> None:
    """What is indexed, what is not, and a plain loop say the same."""
    rng = random.Random(1)
    async with desk(search_due=8, search_batch=32, search_segment=64) as at:
        texts = [" ".join(rng.choices(WORDS, k=rng.randrange(1, 6))) for _ in range(90)]
        notes = [rng.choice(WORDS).encode("ascii", "ignore").decode() for _ in texts]
        for text, note in zip(texts, notes, strict=True):
            await at.deliver(b"X-Note: %b\r\n" % note.encode() + letter("s", body=text))
            if len(at.account.mailbox("INBOX").uids) == 80:
                while await at.store.index(at.account):
                    pass
        ann = at.select()
        box = at.account.mailbox("INBOX")
        assert box.search
        for asked in ASKED:
            indexed = [await _uids(ann, key, asked) for key in ("BODY", "TEXT", "HEADER X-Note")]
            segments, box.search = box.search, []
            box.derived.clear()
            assert [await _uids(ann, key, asked) for key in ("BODY", "TEXT", "HEADER X-Note")] == indexed
            box.search = segments
            likeness = Likeness(asked)
            assert indexed[0] == [
                uid for uid, text in enumerate(map(casemap, texts), 1) if casemap(asked) in text or likeness.of([text])
            ]
            assert indexed[2] == [
                uid for uid, note in enumerate(map(casemap, notes), 1) if casemap(asked) in note or likeness.of([note])
            ]


async def _uids(client: Client, key: str, text: str) -> list[int]:
    answer = await client.say(f"UID SEARCH CHARSET UTF-8 FUZZY {key}", text.encode())
    assert answer.endswith(b"OK UID SEARCH completed\r\n"), answer
    return list(map(int, answer.split(b"\r\n")[0].split()[2:]))


async def test_in_many_mailboxes_and_with_updates(world: World) -> None:
    client, account = await world.login(), await world.account()
    for name, subject in (("INBOX", "helo"), ("Sent", "hello"), ("Archive", "goodbye")):
        await account.append(name, [NewMessage(letter(subject))])
    lines = await client.ok(b"ESEARCH IN (personal) RETURN (RELEVANCY ALL) FUZZY SUBJECT hello")
    assert [line.split(b") UID ")[1] for line in lines] == [b"ALL 1 RELEVANCY (60)", b"ALL 1 RELEVANCY (100)"]
    await client.ok(b"SELECT INBOX")
    await client.ok(b"UID SEARCH RETURN (UPDATE) FUZZY SUBJECT hello")
    await account.append("INBOX", [NewMessage(letter(subject)) for subject in ("hallo", "other", "hello")])
    assert (await client.ok(b"NOOP"))[-1] == b'* ESEARCH (TAG "a") UID ADDTO (0 2,4)'
    lines = await client.ask(b"UID SORT RETURN (UPDATE) (RELEVANCY) UTF-8 FUZZY SUBJECT hello", b"b")
    assert b'* NO [NOUPDATE "b"] An order by relevancy is not updated' in lines
