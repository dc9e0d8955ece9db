"""One walk over a message gives all that its index record holds.

Never an exception, whatever the bytes; linear time; at most MAX_DEPTH levels and MAX_PARTS parts. Sizes and offsets
are octets of the message as it is stored, so a part's range is cut out of it without another look.
"""

from __future__ import annotations

import msgspec

from mailpod.mime.bodystructure import bodystructure
from mailpod.mime.envelope import envelope
from mailpod.mime.headers import CACHED_FIELDS, cached
from mailpod.mime.structure import LEAF, Part, parse

__all__ = ["CACHED_FIELDS", "Scan", "scan"]


class Scan(msgspec.Struct, frozen=True):
    """What is kept of a message beside its bytes.

    `header_size`: octets of the top header, its blank line included.
    `envelope` and `bodystructure`: wire form, parentheses included. `fields`: raw lines of the CACHED_FIELDS in
    order, each ending with CRLF, NULs replaced. `names`: lower-case names of the other fields, space-separated, each
    once. `parts`: five ints a part in pre-order, root first: depth, kind (0 leaf, 1 multipart, 2 message),
    header start, body start, body end; () stands for one leaf that is the whole message.
    """

    header_size: int
    envelope: bytes
    bodystructure: bytes
    fields: bytes
    names: bytes
    parts: tuple[int, ...]


def scan(data: bytes) -> Scan:
    """The index record's share of a message. Never raises."""
    root = parse(data)
    fields, names = cached(root.fields, root.cached)
    return Scan(
        header_size=root.body_start,
        envelope=envelope(root.fields),
        bodystructure=bodystructure(root),
        fields=fields,
        names=names,
        parts=() if root.kind == LEAF else _flatten(root),
    )


def _flatten(root: Part) -> tuple[int, ...]:
    flat: list[int] = []
    waiting = [root]
    while waiting:
        part = waiting.pop()
        flat += part.row
        waiting.extend(reversed(part.children))
    return tuple(flat)
