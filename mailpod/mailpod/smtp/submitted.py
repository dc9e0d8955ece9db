"""The header of a message that a user submits: what is read from it and what is taken out (RFC 6409 §8). No I/O.

All other octets stay as they were sent.
"""

from __future__ import annotations

import re
from typing import Final

from mailpod.mime.headers import field_name, header_end, split_lines
from mailpod.mime.mailboxes import addresses_in

# A field with its folds. RFC 5322 §3.6.3 and §3.6.6: who is in Bcc is nobody else's to know
_BLIND: Final = re.compile(rb"(?im)^(?:resent-)?bcc[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")


def without_bcc(content: bytes) -> bytes:
    """The message without its Bcc and Resent-Bcc fields."""
    end = header_end(content, 0, len(content))
    header = content[:end]
    if b"bcc" not in header.lower():
        return content
    return _BLIND.sub(b"", header) + content[end:]


def authors(content: bytes) -> tuple[list[str], list[str]]:
    """The addresses in From, and in Sender; [] where there is no such field.

    Raises ValueError, whose text is for the sender, where one of them is there twice or is no plain list of addresses.
    """
    fields: dict[bytes, list[bytes]] = {b"from": [], b"sender": []}
    for line in split_lines(content[: header_end(content, 0, len(content))]):
        if (name := field_name(line)) in fields:
            fields[name].append(line.partition(b":")[2])
    return _addresses("From", fields[b"from"]), _addresses("Sender", fields[b"sender"])


def _addresses(name: str, values: list[bytes]) -> list[str]:
    if len(values) > 1:  # RFC 5322 §3.6: at most one of each
        raise ValueError(f"{name} is there {len(values)} times")
    try:
        return [address for value in values for address in addresses_in(value)]
    except ValueError as problem:
        raise ValueError(f"{name} is no list of addresses: {problem}") from None
