"""The message after DATA: where it ends, whatever the pieces it comes in."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailpod.smtp.data import DataReader, has_bare_newline, normalized, unstuff

END = b".\r\n"


def stuffed(content: bytes) -> bytes:
    """As a client sends it (RFC 5321 §4.5.2)."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"a\r\n",
        b".\r\n",
        b"..\r\n",
        b"\r\n.a\r\n",
        b".\r\n.\r\n",
        b"a\n.\r\n",
        b"a\r.\r\n",
        b"a\n.\nb\r\n",
    ],
)
def test_whole_and_byte_by_byte(content: bytes) -> None:
    sent = stuffed(content) + END
    for pieces in ([sent], [sent[index : index + 1] for index in range(len(sent))]):
        buffer = bytearray()
        reader = DataReader(buffer)
        for index, piece in enumerate(pieces):
            buffer += piece
            assert reader.complete() is (index == len(pieces) - 1)
        assert unstuff(reader.take()) == content
        assert buffer == b""


CONTENT = st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"\0", b"longer words "]), max_size=30).map(
    lambda pieces: b"".join(pieces)
)


@given(CONTENT, st.lists(st.integers(1, 7), max_size=40), st.binary(max_size=10))
@example(b"\r\n.", [], b"QUIT\r\n")
def test_any_content_in_any_pieces(content: bytes, cuts: list[int], after: bytes) -> None:
    content += b"\r\n"
    sent = stuffed(content) + END + after
    buffer = bytearray()
    reader = DataReader(buffer)
    position = 0
    for cut in [*cuts, len(sent)]:
        buffer += sent[position : position + cut]
        position += cut
        if reader.complete():
            break
    assert unstuff(reader.take()) == content
    assert bytes(buffer) + sent[position:] == after


@given(CONTENT, st.integers(0, 40))
def test_dropped_content_ends_at_the_same_place(content: bytes, early: int) -> None:
    sent = stuffed(content + b"\r\n") + END + b"NOOP\r\n"
    buffer = bytearray()
    reader = DataReader(buffer)
    for index in range(len(sent)):
        buffer += sent[index : index + 1]
        if index == early:
            reader.drop()
        if reader.complete():
            break
        assert not reader.dropping or len(buffer) <= 5
    assert reader.received == index + 1
    reader.take()
    assert bytes(buffer) + sent[index + 1 :] == b"NOOP\r\n"


@pytest.mark.parametrize(
    ("content", "bare"),
    [
        (b"", False),
        (b"a\r\nb\r\n", False),
        (b"a\nb\r\n", True),
        (b"a\rb\r\n", True),
        (b"a\r\r\n", True),
        (b"\n\r", True),
    ],
)
def test_bare_newlines(content: bytes, bare: bool) -> None:
    assert has_bare_newline(content) is bare
    assert not has_bare_newline(normalized(content))


@given(CONTENT)
def test_normalized_has_no_bare_newline_and_the_same_words(content: bytes) -> None:
    clean = normalized(content)
    assert not has_bare_newline(clean)
    assert clean.replace(b"\r\n", b"") == content.replace(b"\r", b"").replace(b"\n", b"")
    assert has_bare_newline(content) is (clean != content)
