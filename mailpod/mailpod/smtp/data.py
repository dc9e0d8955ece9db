"""The message after DATA, out of the bytes that arrive: no I/O.

CRLF.CRLF alone ends it, whatever else stands around a dot: that is what keeps SMTP smuggling out (RFC 5321 §4.1.1.4:
"the custom of accepting lines ending only in <LF> … MUST NOT be practiced"). Each byte is looked at once, by
`bytes.find` and its like, never line by line.
"""

from __future__ import annotations

import io
import re
from typing import Final

_END: Final = b"\r\n.\r\n"
_BARE: Final = re.compile(rb"\r\n|\r|\n")


class DataReader:
    """Finds the end of a message in `buffer`, which the connection extends. The reader never outlives its DATA."""

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._scanned = 0  # no _END begins before this
        self._end = -1  # octets of content, its last CRLF included
        self._next = -1  # where the next command begins
        self._dropped = 0
        self.dropping = False

    @property
    def received(self) -> int:
        """Octets so far, dropped ones included."""
        return self._dropped + len(self._buffer)

    @property
    def size(self) -> int:
        """Octets of the complete content, dots still stuffed."""
        return self._end

    def complete(self) -> bool:
        """Whether the final dot has arrived. Call after the buffer grew."""
        if self._end >= 0:
            return True
        if not self._scanned and not self._dropped and self._buffer.startswith(b".\r\n"):
            self._end, self._next = 0, 3  # the CRLF before this dot is the one that ended the DATA command
            return True
        found = self._buffer.find(_END, self._scanned)
        if found >= 0:
            self._end, self._next = found + 2, found + 5
            return True
        if len(self._buffer) > 4:
            self._scanned = len(self._buffer) - 4
        if self.dropping:
            self._discard()
        return False

    def drop(self) -> None:
        """Keep nothing from here on but what the search for the end needs."""
        self.dropping = True
        if self._end < 0:
            self._discard()

    def take(self) -> bytes:
        """The content as it was sent, dots still stuffed; the buffer begins with the next command afterwards."""
        with memoryview(self._buffer) as view:
            content = b"" if self.dropping else bytes(view[: self._end])
        del self._buffer[: self._next]
        return content

    def _discard(self) -> None:
        if self._scanned:
            self._dropped += self._scanned
            del self._buffer[: self._scanned]
            self._scanned = 0


def unstuff(content: bytes) -> bytes:
    """RFC 5321 §4.5.2: the first dot of a line that begins with one goes."""
    if content.startswith(b"."):
        content = content[1:]
    return content.replace(b"\r\n.", b"\r\n")


def has_bare_newline(content: bytes) -> bool:
    """Whether there is a CR without LF or an LF without CR (RFC 5321 §2.3.8: neither may be sent)."""
    # The decoder of universal newlines notes which kinds it met, in one pass: a fourth of the time of counting each.
    seen = io.IncrementalNewlineDecoder(None, translate=False)
    seen.decode(content.decode("latin-1"), final=True)
    return seen.newlines not in (None, "\r\n")


def normalized(content: bytes) -> bytes:
    """Every CR or LF that stands alone as CRLF."""
    return _BARE.sub(b"\r\n", content)
