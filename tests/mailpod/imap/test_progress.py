"""INPROGRESS: RFC 9585."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.dialogue import MakeWorld, World

from mailpod.imap.progress import Progress
from mailpod.store import NewMessage

_TOLD = re.compile(rb'\* OK \[INPROGRESS \("(.*)" ([0-9]+) NIL\)\] Messages looked at: \2')
LETTERS = [NewMessage(b"Subject: x\r\n\r\nbody %d\r\n" % at) for at in range(100)]


@pytest.mark.parametrize(
    "command",
    [
        b"SEARCH BODY nowhere",
        b"UID SEARCH RETURN (COUNT) BODY nowhere SUBJECT x",
        b"SORT (SUBJECT) UTF-8 BODY nowhere",
        b"THREAD REFERENCES UTF-8 BODY nowhere",
        b"ESEARCH IN (personal) BODY nowhere",
    ],
)
async def test_a_long_search_tells_how_far_it_is(make: MakeWorld, command: bytes) -> None:
    """By its tag, with a count that never goes back; before the answer."""
    world = await make(imap={"progress_seconds": 1e-9})
    await (await world.account()).append("INBOX", LETTERS)
    client = await world.login(select="INBOX")
    answer = await client.ok(command)
    told = [found for found in map(_TOLD.fullmatch, answer) if found]
    assert {found[1] for found in told} == {b"a"}
    counts = [int(found[2]) for found in told]
    assert counts == sorted(counts)
    assert counts[-1] >= 96


async def test_a_short_one_tells_nothing(world: World) -> None:
    await (await world.account()).append("INBOX", LETTERS)
    client = await world.login(select="INBOX")
    assert await client.ok(b"SEARCH BODY nowhere") == [b"* SEARCH"]


def test_a_tag_that_a_code_cannot_hold() -> None:
    assert Progress(b"a]", 0, 1).add(5, 1) == b"* OK [INPROGRESS (NIL 5 NIL)] Messages looked at: 5\r\n"


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 30)), max_size=40), st.floats(0.5, 20))
def test_no_more_often_than_it_may_be(steps: list[tuple[int, float]], every: float) -> None:
    progress, now, looked, told = Progress(b"a", 0.0, every), 0.0, 0, 0.0
    for messages, seconds in steps:
        now, looked = now + seconds, looked + messages
        due = progress.add(messages, now)
        assert bool(due) == (now - told >= every)
        if due:
            told = now
            assert b" %d NIL" % looked in due
