"""What handlers answer, and the status lines made of it (RFC 3501 §7.1).

Invariant: every function gives one whole line, CRLF included; no text or code can inject another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mailpod.errors import MailError
from mailpod.imap import wire

URL_MECHANISMS: Final = b"* OK [URLMECH INTERNAL] Mechanisms of URLAUTH\r\n"


@dataclass(frozen=True, slots=True)
class Done:
    """A tagged OK: `code` without brackets, `text` in place of "NAME completed"; `after` runs once it was sent."""

    code: bytes | None = None
    text: bytes | None = None
    after: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A command that ends with a line of the client's (IDLE). `finish` takes that line, and may raise BadCommand;
    `cancel` is called once when the command is over, for whatever reason."""

    finish: Callable[[bytes], Done]
    cancel: Callable[[], None]


def accepted(tag: bytes, name: str, done: Done) -> bytes:
    """`tag OK [code] text`."""
    text = done.text if done.text is not None else b"%b completed" % name.encode("ascii")
    code = b"[%b] " % done.code if done.code else b""
    return b"%b OK %b%b\r\n" % (tag, code, text)


def refused(tag: bytes, error: MailError) -> bytes:
    """`tag NO [code] text`, or BAD."""
    condition, code = error.imap
    bracket = b"[%b] " % code.encode("ascii") if code else b""
    return b"%b %b %b%b\r\n" % (tag, condition.encode("ascii"), bracket, wire.text(error.text))


def bye(text: bytes) -> bytes:
    """`* BYE text`: the connection is closed after it."""
    return b"* BYE %b\r\n" % text
