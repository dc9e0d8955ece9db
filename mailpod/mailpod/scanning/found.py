"""All that is found out of a message's octets before they are stored: the same wherever it is done."""

from __future__ import annotations

import msgspec

from mailpod.checksum import checksum
from mailpod.mime.scan import scan


class Found(msgspec.Struct, frozen=True, array_like=True):
    """As a record has it (store/ops.py): octets as Latin-1 text, `sum` in hex."""

    sum: str
    header_size: int
    envelope: str
    bodystructure: str
    fields: str
    names: str
    parts: tuple[int, ...]


def find(data: bytes) -> Found:
    """Never raises."""
    found = scan(data)
    return Found(
        checksum(data).hex(),
        found.header_size,
        found.envelope.decode("latin-1"),
        found.bodystructure.decode("latin-1"),
        found.fields.decode("latin-1"),
        found.names.decode("latin-1"),
        found.parts,
    )
