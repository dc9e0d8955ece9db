"""POP3's lines, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.pop3 import reply
from mailpod.pop3.syntax import COMMANDS, MAX_LINE, Command, LineTooLong, Refused, State, parse, take_line


@given(st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))))
def test_lines_are_the_same_however_the_bytes_come(lines: list[bytes]) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    whole, found = bytearray(data), []
    while (line := take_line(whole, MAX_LINE)) is not None:
        found.append(line)
    assert found == lines
    pieces, again = bytearray(), []
    for byte in data:
        pieces.append(byte)
        if (line := take_line(pieces, MAX_LINE)) is not None:
            again.append(line)
    assert again == lines


def test_line_without_end_is_bounded() -> None:
    with pytest.raises(LineTooLong):
        take_line(bytearray(b"x" * MAX_LINE), MAX_LINE)
    assert take_line(bytearray(b"x" * (MAX_LINE - 1)), MAX_LINE) is None


@given(st.binary(max_size=100), st.sampled_from(State))
def test_any_line_is_a_command_or_refused(line: bytes, state: State) -> None:
    try:
        command = parse(line, state)
    except Refused:
        return
    assert state in COMMANDS[command.name.encode()].states


@pytest.mark.parametrize(
    ("line", "state", "command"),
    [
        (b"user  ann ", State.AUTHORIZATION, Command("USER", text=b" ann ")),
        (b"PASS two words", State.AUTHORIZATION, Command("PASS", text=b"two words")),
        (b"auth PLAIN =", State.AUTHORIZATION, Command("AUTH", words=(b"PLAIN", b"="))),
        (b"Top 1 20", State.TRANSACTION, Command("TOP", numbers=(1, 20))),
        (b"LIST", State.TRANSACTION, Command("LIST")),
        (b"LIST 3", State.TRANSACTION, Command("LIST", numbers=(3,))),
        (b"STAT ", State.TRANSACTION, Command("STAT")),
    ],
)
def test_commands(line: bytes, state: State, command: Command) -> None:
    assert parse(line, state) == command


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (b"", State.TRANSACTION),
        (b"RETR", State.TRANSACTION),
        (b"RETR -1", State.TRANSACTION),
        (b"RETR 1 2", State.TRANSACTION),
        (b"RETR 99999999999999999999", State.TRANSACTION),
        (b"TOP 1", State.TRANSACTION),
        (b"NOOP x", State.TRANSACTION),
        (b"USER ann", State.TRANSACTION),
        (b"STAT", State.AUTHORIZATION),
        (b"USER", State.AUTHORIZATION),
        (b"APOP ann 0123", State.AUTHORIZATION),
    ],
)
def test_refused(line: bytes, state: State) -> None:
    with pytest.raises(Refused):
        parse(line, state)


def unstuff(wire: bytes) -> bytes:
    """RFC 1939 §3, read as the RFC says: only CRLF ends a line."""
    assert wire.endswith(b".\r\n")
    lines = wire[:-3].split(b"\r\n")
    assert b"." not in lines
    return b"\r\n".join(line.removeprefix(b".") for line in lines)


@given(st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"x", b".."]), max_size=30).map(b"".join))
def test_stuffed_messages_come_back_as_they_were(data: bytes) -> None:
    whole = b"".join(reply.message(data))
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    assert unstuff(whole) == data


@given(st.lists(st.sampled_from([b"a", b"\r\n"]), max_size=30).map(b"".join), st.integers(0, 10))
def test_top_is_the_header_and_so_many_lines(body: bytes, lines: int) -> None:
    data = b"A: b\r\n\r\n" + body
    assert reply.top(data, 8, lines) == b"A: b\r\n\r\n" + b"".join(body.splitlines(keepends=True)[:lines])
