"""POP3's answers as bytes."""

from __future__ import annotations

from mailpod.errors import MailError

END = b".\r\n"


def ok(text: bytes = b"") -> bytes:
    """`+OK`, with a text for people."""
    return b"+OK %b\r\n" % text if text else b"+OK\r\n"


def error(error: MailError) -> bytes:
    """`-ERR`, with the response code that the error has (RFC 2449 §8, RFC 3206)."""
    code = f"[{error.pop3}] " if error.pop3 else ""
    text = f"{code}{error.text}".replace("\r", " ").replace("\n", " ")
    return b"-ERR %b\r\n" % text.encode("ascii", "replace")


def message(data: bytes) -> list[bytes]:
    """A message as the rest of a multi-line answer: dot-stuffed, ended by the line with a dot alone.

    Only CRLF ends a line (RFC 1939 §3), so bare CR and LF go out as they are. A final CRLF that is missing is added,
    since the dot must stand on a line of its own; it is not in the sizes that LIST gives.
    """
    pieces = [data.replace(b"\r\n.", b"\r\n.."), END]
    if data.startswith(b"."):
        pieces.insert(0, b".")
    if data and not data.endswith(b"\r\n"):
        pieces.insert(-1, b"\r\n")
    return pieces


def top(data: bytes, header_size: int, lines: int) -> bytes:
    """The header and the first `lines` lines of the body. `data` may be cut behind them."""
    end = header_size
    for _ in range(lines):
        found = data.find(b"\r\n", end)
        if found < 0:
            return data
        end = found + 2
    return data[:end]
