"""PREVIEW: RFC 8970."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(letter(body="Hello there\r\n"), letter(body="<p>Grüße\r\n", content_type="text/html"))
        await found.deliver(b"Content-Type: image/png\r\n\r\nx")
        yield found


async def test_the_beginning_of_the_text(at: Desk) -> None:
    ann = at.select()
    assert await ann.say("FETCH 1:* (UID PREVIEW)") == (
        b"* 1 FETCH (UID 1 PREVIEW {11}\r\nHello there)\r\n"
        b"* 2 FETCH (UID 2 PREVIEW {7}\r\n" + "Grüße".encode() + b")\r\n"
        b'* 3 FETCH (UID 3 PREVIEW "")\r\nOK FETCH completed\r\n'
    )
    assert at.flags(1) == set(), "a preview is not reading"


async def test_lazy_gives_what_is_known(at: Desk) -> None:
    """RFC 8970 §4: with LAZY what would have to be made first is NIL."""
    ann = at.select()
    assert b"PREVIEW NIL" in await ann.say("FETCH 1 PREVIEW (LAZY)")
    await ann.say("FETCH 1 (PREVIEW)")
    assert b"PREVIEW {11}\r\nHello there" in await ann.say("FETCH 1 (PREVIEW (lazy) FLAGS)")
    assert b"PREVIEW NIL" in await ann.say("FETCH 2 (PREVIEW (LAZY LAZY))"), "RFC 8970 §6: one preview-mod or more"


async def test_it_is_made_once(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = at.select()
    before = await ann.say("FETCH 1:2 PREVIEW")

    def fail(*_: Any) -> Any:
        raise AssertionError("read again")

    monkeypatch.setattr(at.store.bodies, "stream", fail)
    monkeypatch.setattr(at.store.bodies, "read", fail)
    assert await ann.say("FETCH 1:2 PREVIEW") == before


async def test_of_a_large_message_the_beginning_is_read(at: Desk) -> None:
    await at.deliver(letter(body="Start of it\r\n" + "x" * 1_000_000))
    assert b"PREVIEW {200}\r\nStart of it xxx" in await at.select(budget=200_000).say("FETCH 4 PREVIEW")


@pytest.mark.parametrize("item", ["PREVIEW (EAGER)", "PREVIEW[1]", "(PREVIEW(LAZY))"])
async def test_what_is_refused(at: Desk, item: str) -> None:
    assert (await at.select().say(f"FETCH 1 {item}")).startswith(b"BAD")
