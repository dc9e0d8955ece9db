"""Replies of an SMTP server, from bytes; no I/O.

What another server says is only text: it is bounded, and has no control characters in it afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")  # RFC 2034 §4
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MOST_BYTES: Final = 64 * 1024  # of one reply


class BadReply(Exception):
    """Bytes that are no reply (RFC 5321 §4.2)."""


@dataclass(frozen=True)
class Reply:
    """RFC 5321 §4.2. `lines` are without their codes."""

    code: int
    lines: tuple[str, ...]

    @cached_property
    def status(self) -> str:
        """The enhanced status (RFC 3463), "" where there is none of the reply's own class (RFC 2034 §4)."""
        found = _ENHANCED.match(self.lines[0])
        return found[1] if found and found[1][0] == str(self.code)[0] else ""

    @property
    def positive(self) -> bool:
        return self.code < 400

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    @property
    def text(self) -> str:
        """The whole reply on one line, code first."""
        rest = self.lines
        if self.status:  # said again on every line
            rest = (rest[0], *(line.removeprefix(f"{self.status} ") for line in rest[1:]))
        return " ".join((str(self.code), *filter(None, rest)))


class ReplyReader:
    """`feed` what arrives in any pieces."""

    def __init__(self) -> None:
        self._buffer = b""
        self._code = 0
        self._lines: list[str] = []
        self._size = 0

    @property
    def empty(self) -> bool:
        """Whether nothing of a further reply has come yet."""
        return not self._buffer and not self._lines

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete now. Raises BadReply."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._size += len(data)
        replies = [reply for line in lines if (reply := self._line(line))]
        if replies:
            self._size = len(self._buffer)
        if self._size > _MOST_BYTES:
            raise BadReply("a reply that does not end")
        return replies

    def _line(self, raw: bytes) -> Reply | None:
        found = _LINE.fullmatch(raw.removesuffix(b"\r"))
        if not found or (self._lines and int(found[1]) != self._code):
            raise BadReply("not a reply of SMTP")
        self._code = int(found[1])
        text = (found[3] or b"").decode("utf-8", "backslashreplace")
        self._lines.append(_CONTROL.sub(" ", text).strip())
        if found[2] == b"-":
            return None
        reply, self._lines = Reply(self._code, tuple(self._lines)), []
        return reply
