"""Replies and capabilities, from bytes in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.relay import capabilities
from mailpod.relay.capabilities import Capabilities
from mailpod.relay.replies import BadReply, Reply, ReplyReader

LINES = st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20), min_size=1, max_size=4)
REPLIES = st.lists(st.tuples(st.integers(200, 559), LINES), max_size=5)


@given(REPLIES, st.data())
def test_whole_and_in_pieces(replies: list[tuple[int, list[str]]], data: st.DataObject) -> None:
    wire = b""
    for code, lines in replies:
        marks = ["-"] * (len(lines) - 1) + [" "]
        wire += "".join(f"{code}{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True)).encode()
    expected = [Reply(code, tuple(lines)) for code, lines in replies]
    assert ReplyReader().feed(wire) == expected
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader = ReplyReader()
    found = [reply for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True) for reply in reader.feed(wire[a:b])]
    assert found == expected and reader.empty


@given(st.binary(max_size=200))
def test_anything_is_replies_or_none(data: bytes) -> None:
    reader = ReplyReader()
    try:
        for reply in reader.feed(data):
            assert 200 <= reply.code <= 599 and reply.text.isprintable()
    except BadReply:
        return


@pytest.mark.parametrize(
    "wire", [b"hello\r\n", b"99 x\r\n", b"250-a\r\n251 b\r\n", b"250xa\r\n", b"250-" + b"x" * 70_000]
)
def test_not_replies(wire: bytes) -> None:
    with pytest.raises(BadReply):
        ReplyReader().feed(wire)


@pytest.mark.parametrize(
    ("wire", "status", "text"),
    [
        (b"250 2.1.5 ok\r\n", "2.1.5", "250 2.1.5 ok"),
        (b"250\r\n", "", "250"),
        (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", "5.1.1", "550 5.1.1 no such user"),
        (b"550 4.1.1 another class\r\n", "", "550 4.1.1 another class"),
        (b"451 4.7.1\r\n", "4.7.1", "451 4.7.1"),
        (b"550 caf\xc3\xa9 \xff\x07\n", "", "550 café \\xff"),
    ],
)
def test_status_and_text(wire: bytes, status: str, text: str) -> None:
    (reply,) = ReplyReader().feed(wire)
    assert (reply.status, reply.text) == (status, text)


def test_capabilities() -> None:
    (reply,) = ReplyReader().feed(
        b"250-mx.test hello\r\n250-PIPELINING\r\n250-size 1000\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n"
        b"250-AUTH=PLAIN CRAM-MD5\r\n250-8bitmime\r\n250-DSN\r\n250-SMTPUTF8\r\n250-X 1\r\n250 \r\n"
    )
    assert capabilities.parse(reply) == Capabilities(
        pipelining=True, eightbit=True, smtputf8=True, starttls=True, dsn=True, size=1000,
        auth=frozenset({"PLAIN", "LOGIN", "CRAM-MD5"}),
    )  # fmt: skip
    assert capabilities.parse(Reply(250, ("mx", "SIZE"))).size == 0
    assert capabilities.parse(Reply(250, ("mx PIPELINING",))) == Capabilities()
