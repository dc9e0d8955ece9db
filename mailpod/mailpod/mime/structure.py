"""The tree of parts of a message (RFC 2046 §5.1), found by jumping from boundary to boundary.

Every byte is looked at once for each boundary that is open over it, and at most MAX_DEPTH are: time is linear in the
message. Boundary lines are matched by prefix, the longest open boundary wins, as RFC 2046 §5.1.1 and Dovecot have it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailpod.mime.headers import Fields, header_end, parse_lines, split_lines
from mailpod.mime.params import Params, content_type

MAX_DEPTH = 99  # multiparts and messages nested deeper are leaves, as in Dovecot
MAX_PARTS = 10_000  # the last of them reaches to the end of the message
LEAF, MULTIPART, MESSAGE = 0, 1, 2
ENCLOSING = (b"rfc822", b"global")  # of type message: what is in them is a message (RFC 2046 §5.2.1, RFC 6532 §3.7)
_BOUNDARY_MAX = 80  # RFC 2046 §5.1.1 says 70; a longer one is compared by its first 80 octets, as in Dovecot


@dataclass(slots=True)
class Part:
    """One part: offsets into the message, its header's fields and what its Content-Type says."""

    depth: int
    header_start: int
    body_start: int
    body_end: int
    kind: int
    fields: Fields
    cached: list[bytes]  # its raw lines of CACHED_FIELDS
    type: bytes
    subtype: bytes
    params: Params
    children: list[Part] = field(default_factory=list)
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


@dataclass(slots=True)
class _Hit:
    """A boundary line: the LF before it, the end of the boundary in it, and the index of the open boundary."""

    newline: int
    end: int
    level: int


_NONE = 1 << 62


def parse(data: bytes) -> Part:
    """The message's root part, with all parts below it."""
    return _Walk(data).part(0, 0, digest=False)[0]


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.open: list[_Boundary] = []
        self.count = 0
        self.messages = 0  # that hold the part that is being read

    def part(self, start: int, depth: int, digest: bool) -> tuple[Part, _Hit | None]:
        """The part whose header begins at `start`, and the boundary line of a parent that ended it."""
        data = self.data
        self.count += 1
        last = self.count >= MAX_PARTS
        if last:
            self.open.clear()
        # the boundary line's own LF is looked at too: the next one may follow at once
        hit = self.next_hit(max(start - 1, 0)) if self.open else None
        limit = hit.newline + 1 if hit else len(data)
        body_start = header_end(data, start, limit) if start < limit else start
        fields, cached = parse_lines(split_lines(data[start:body_start]))
        kind, (main, sub, params) = LEAF, _content_type(fields, digest)
        boundary = None
        if not last and depth < MAX_DEPTH:
            lowered = main.lower()
            if lowered == b"multipart":
                kind, boundary = MULTIPART, _boundary(params)  # without one it has no parts, as in Dovecot
            elif lowered == b"message" and sub.lower() in ENCLOSING:
                kind = MESSAGE
        part = Part(depth, start, body_start, body_start, kind, fields, cached, main, sub, params)
        if boundary is not None:
            hit = self._multipart(part, boundary)
        elif kind == MESSAGE:
            self.messages += 1
            child, hit = self.part(body_start, depth + 1, digest=False)
            self.messages -= 1
            part.children.append(child)
        self._finish(part, hit)
        return part, hit

    def _multipart(self, part: Part, boundary: bytes) -> _Hit | None:
        level = len(self.open)
        self.open.append(_Boundary(b"\n--" + boundary, -1, 0))
        digest = part.subtype.lower() == b"digest"
        hit = self.next_hit(max(part.body_start - 1, 0))
        while hit and hit.level == level:
            if self.data.startswith(b"--", hit.end):
                self.open.pop()  # what follows is the epilogue; only a parent's boundary ends it
                return self.next_hit(hit.end) if self.open else None
            line_end = self.data.find(b"\n", hit.end)
            if line_end < 0:
                hit = None  # cut off in the boundary line: no part begins, as in Dovecot
                break
            child, hit = self.part(line_end + 1, part.depth + 1, digest)
            part.children.append(child)
        del self.open[level:]
        return hit

    def _finish(self, part: Part, hit: _Hit | None) -> None:
        """Sets where the body ends, and its lines where BODYSTRUCTURE has them."""
        data, end = self.data, len(self.data)
        if hit:
            # RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary
            end = hit.newline - (data[hit.newline - 1 : hit.newline] == b"\r")
        if not part.children and end < part.body_start:
            # … even where it looked like the end of the header
            part.empty_at = max(end, part.header_start)
        # for what holds it, a last part of nothing but a header reaches to the boundary itself, as in Dovecot
        part.body_end = max(end, part.body_start, part.children[-1].body_end if part.children else 0)
        if self.messages or part.kind == MESSAGE or part.type.lower() == b"text":
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
        limit, found = len(self.data), False
        for boundary in self.open:
            stale = boundary.at < at
            if stale or (boundary.at == _NONE and boundary.searched < limit):
                start = at if stale else max(at, boundary.searched)
                place = self.data.find(boundary.marker, start, limit + len(boundary.marker))
                boundary.at = place if place >= 0 else _NONE
                boundary.searched = limit
            if boundary.at <= limit:
                # a boundary further in only counts before (or at) the parent's next one
                limit, found = boundary.at, True
        return self._best(limit) if found else None

    def _best(self, newline: int) -> _Hit:
        best = -1
        for level in range(len(self.open) - 1, -1, -1):
            boundary = self.open[level]
            if boundary.at == newline and (best < 0 or len(boundary.marker) > len(self.open[best].marker)):
                best = level
        return _Hit(newline, newline + len(self.open[best].marker), best)


def _content_type(fields: Fields, digest: bool) -> tuple[bytes, bytes, Params]:
    values = fields.get(b"content-type")
    found = content_type(values[0]) if values else None
    if found:
        return found
    # RFC 2046 §5.1.5: in a digest the default is message/rfc822
    return (b"message", b"rfc822", []) if digest and not values else (b"text", b"plain", [])


def _boundary(params: Params) -> bytes | None:
    for name, value in params:
        if name.lower() == b"boundary" and value:
            return value[:_BOUNDARY_MAX]
    return None
