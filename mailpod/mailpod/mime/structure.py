"""The tree of parts of a message (RFC 2046 §5.1), found by jumping from boundary to boundary.

Every byte is looked at once for each boundary that is open over it, and at most MAX_DEPTH are: time is linear in the
message. Boundary lines are matched by prefix, the longest open boundary wins, as RFC 2046 §5.1.1 and Dovecot have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mailpod.mime.headers import header_end
from mailpod.mime.partheader import ENCLOSING, LEAF, MESSAGE, MULTIPART, PartHeader, read_header

__all__ = ["ENCLOSING", "LEAF", "MAX_DEPTH", "MAX_PARTS", "MESSAGE", "MULTIPART", "Part", "parse"]

MAX_DEPTH = 99  # multiparts and messages nested deeper are leaves, as in Dovecot
MAX_PARTS = 10_000  # the last of them reaches to the end of the message


@dataclass(slots=True)
class Part:
    """One part: offsets into the message, and what its header says."""

    depth: int
    header_start: int
    body_start: int
    body_end: int
    kind: int
    header: PartHeader
    children: Sequence[Part] = ()
    body_lines: int = 0  # of texts and messages, and of all that lies in a message
    empty_at: int | None = None  # where a part without a body ends, if that is before its header's last line end

    @property
    def row(self) -> tuple[int, int, int, int, int]:
        """Its numbers in Scan.parts."""
        if self.empty_at is not None:
            return self.depth, self.kind, self.header_start, self.empty_at, self.empty_at
        return self.depth, self.kind, self.header_start, self.body_start, self.body_end


@dataclass(slots=True)
class _Boundary:
    marker: bytes  # LF, two dashes, the boundary
    at: int  # the next match not before the walk's position, as far as `searched`; _NONE: there is none so far
    searched: int


_Hit: TypeAlias = tuple[int, int, int]
"""A boundary line: the LF before it, the end of the boundary in it, and the index of the open boundary."""

_NONE = 1 << 62


def parse(data: bytes) -> list[Part]:
    """The message's parts in pre-order; the first is the message itself."""
    walk = _Walk(data)
    walk.part(0, 0, digest=False)
    return walk.parts


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.open: list[_Boundary] = []
        self.parts: list[Part] = []
        self.messages = 0  # that hold the part that is being read

    def part(self, start: int, depth: int, digest: bool) -> tuple[Part, _Hit | None]:
        """The part whose header begins at `start`, and the boundary line of a parent that ended it."""
        data = self.data
        last = len(self.parts) + 1 >= MAX_PARTS
        if last:
            self.open.clear()
        # the boundary line's own LF is looked at too: the next one may follow at once
        hit = self.next_hit(start - 1 if start else 0) if self.open else None
        limit = hit[0] + 1 if hit else len(data)
        body_start = header_end(data, start, limit) if start < limit else start
        header = read_header(data[start:body_start], digest)
        kind = LEAF if last or depth >= MAX_DEPTH else header.kind
        part = Part(depth, start, body_start, body_start, kind, header)
        self.parts.append(part)
        if kind == MULTIPART and header.boundary is not None:
            hit = self._multipart(part, header.boundary)
        elif kind == MESSAGE:
            self.messages += 1
            child, hit = self.part(body_start, depth + 1, digest=False)
            self.messages -= 1
            part.children = (child,)
        # RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary
        end = len(data) if hit is None else hit[0] - (data[hit[0] - 1 : hit[0]] == b"\r")
        if kind == LEAF and end >= body_start:  # nearly every part; what follows is for the others
            part.body_end = end
            if header.is_text or self.messages:
                part.body_lines = data.count(b"\n", body_start, end)
        else:
            self._finish(part, end)
        return part, hit

    def _multipart(self, part: Part, boundary: bytes) -> _Hit | None:
        level = len(self.open)
        self.open.append(_Boundary(b"\n--" + boundary, -1, 0))
        digest = part.header.subtype.lower() == b"digest"
        part.children = children = []
        hit = self.next_hit(max(part.body_start - 1, 0))
        while hit and hit[2] == level:
            end = hit[1]
            if self.data.startswith(b"--", end):
                self.open.pop()  # what follows is the epilogue; only a parent's boundary ends it
                return self.next_hit(end) if self.open else None
            line_end = self.data.find(b"\n", end)
            if line_end < 0:
                hit = None  # cut off in the boundary line: no part begins, as in Dovecot
                break
            child, hit = self.part(line_end + 1, part.depth + 1, digest)
            children.append(child)
        del self.open[level:]
        return hit

    def _finish(self, part: Part, end: int) -> None:
        """Sets where the body ends, and its lines where BODYSTRUCTURE has them."""
        children = part.children
        if children:
            # for what holds it, a last part of nothing but a header reaches to the boundary itself, as in Dovecot
            part.body_end = max(end, part.body_start, children[-1].body_end)
        elif end >= part.body_start:
            part.body_end = end
        else:
            part.empty_at = max(end, part.header_start)  # the boundary's line end looked like that of the header
        if part.header.is_text or self.messages or part.kind == MESSAGE:
            self._count_lines(part)

    def _count_lines(self, part: Part) -> None:
        """Each byte is counted in one part only, then summed."""
        data = self.data
        at, lines = part.body_start, 0
        for child in part.children:
            lines += data.count(b"\n", at, child.body_start) + child.body_lines
            at = child.body_end
        part.body_lines = lines + data.count(b"\n", at, part.body_end)

    def next_hit(self, at: int) -> _Hit | None:
        """The next line from the LF at `at` on that begins with an open boundary."""
        data = self.data
        if len(self.open) == 1:  # no other bounds the search: it was to the end, whenever it was
            (only,) = self.open
            if only.at < at:
                place = data.find(only.marker, at)
                only.at, only.searched = place if place >= 0 else _NONE, len(data)
            return None if only.at == _NONE else (only.at, only.at + len(only.marker), 0)
        limit, found = len(data), -1
        for level, boundary in enumerate(self.open):
            place = boundary.at
            if place < at or (place == _NONE and boundary.searched < limit):
                start = at if place < at else max(at, boundary.searched)
                place = data.find(boundary.marker, start, limit + len(boundary.marker))
                boundary.at = place = place if place >= 0 else _NONE
                boundary.searched = limit
            if place <= limit:
                # a boundary further in only counts before (or at) the parent's next one
                limit, found = place, level
        return self._best(limit, found) if found >= 0 else None

    def _best(self, newline: int, found: int) -> _Hit:
        """The longest of the boundaries that begin there; of those that are as long the innermost, which is `found`."""
        best = self.open[found].marker
        for level in range(found - 1, -1, -1):
            boundary = self.open[level]
            if boundary.at == newline and len(boundary.marker) > len(best):
                best, found = boundary.marker, level
        return newline, newline + len(best), found
