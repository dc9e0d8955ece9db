"""One walk over a message gives all that its index record holds.

Never an exception, whatever the bytes; linear time; at most MAX_DEPTH levels and MAX_PARTS parts. Sizes and offsets
are octets of the message as it is stored, so a part's range is cut out of it without another look.
"""

from __future__ import annotations

import msgspec

from mailpod.mime.bodystructure import bodystructure
from mailpod.mime.envelope import envelope
from mailpod.mime.headers import CACHED_FIELDS, kept_block
from mailpod.mime.structure import parse

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
    parts = parse(data)
    root = parts[0]
    header = root.header
    return Scan(
        root.body_start,
        envelope(header.fields),
        bodystructure(root),
        kept_block(header.kept),
        b" ".join(header.others),
        # one leaf that is the whole message is not told
        tuple([number for part in parts for number in part.row]) if root.kind else (),
    )
