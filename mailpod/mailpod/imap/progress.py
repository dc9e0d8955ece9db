"""What a client is told of a command that takes long: INPROGRESS (RFC 9585). No I/O, and no clock of its own.

Invariant: of one command, responses are `every` seconds apart at least, the first as long after its start, and the
count in them never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailpod.imap import wire


@dataclass(slots=True)
class Progress:
    """Of one command: `told` is when its client last heard of it, by Clock.elapsed."""

    tag: bytes
    told: float
    every: float
    looked: int = 0  # messages so far

    def add(self, messages: int, now: float) -> bytes:
        """So many more were looked at: the response that is due, or b""."""
        self.looked += messages
        if now - self.told < self.every:
            return b""
        self.told = now
        # RFC 9585 §4: no tag with a bracket; the goal is not known before all keys of a search are asked
        tag = b"NIL" if b"]" in self.tag else wire.string(self.tag)
        return b"* OK [INPROGRESS (%b %d NIL)] Messages looked at: %d\r\n" % (tag, self.looked, self.looked)
