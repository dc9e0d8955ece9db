"""The parser in tests: each dialogue is fed whole, byte by byte, and with what follows it."""

from __future__ import annotations

from mailpod.errors import TooBig
from mailpod.imap import syntax as s
from mailpod.imap.parser import Event, Limits, NeedLiteral, Parser, Rejected
from mailpod.imap.syntax import Command

LIMITS = Limits(command=1000, literals=5)


def feed(data: bytes, step: int, limits: Limits = LIMITS, max_message: int = 2000) -> list[Event]:
    """All events; every literal is accepted but messages larger than `max_message`."""
    parser, buffer, events = Parser(limits), bytearray(), []
    for start in range(0, len(data), step):
        buffer += data[start : start + step]
        while (event := parser.next(buffer)) is not None:
            events.append(event)
            if isinstance(event, NeedLiteral):
                if event.message and event.size > max_message:
                    parser.refuse(TooBig())
                else:
                    parser.accept()
    return events


def commands(data: bytes) -> list[Event]:
    """What comes out without the literals asked about, the same however it is cut."""
    whole = [str(event) for event in feed(data, max(1, len(data)))]
    for step in (1, 2, 7):
        assert [str(event) for event in feed(data, step)] == whole
    return [event for event in feed(data, max(1, len(data))) if not isinstance(event, NeedLiteral)]


def one(data: bytes) -> object:
    """The arguments of a command that is followed by another."""
    first, second = commands(data + b"\r\nz NOOP\r\n")
    assert isinstance(first, Command), first
    assert second == Command(b"z", "NOOP", s.NoArgs())
    return first.args


def bad(data: bytes, tag: bytes = b"a") -> str:
    """The text of the refusal; the next command is still understood."""
    first, second = commands(data + b"\r\nz NOOP\r\n")
    assert isinstance(first, Rejected), first
    assert first.tag == tag
    assert second == Command(b"z", "NOOP", s.NoArgs())
    return first.error.text
