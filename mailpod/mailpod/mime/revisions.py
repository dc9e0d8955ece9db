"""BODYSTRUCTURE as each revision of IMAP has it (RFC 9755 §6): in rev2 message/global encloses a message, in rev1 it is
a part like any other. No I/O.

What is kept is rev2's; rev1's of messages that came before it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mailpod.mime.sections import copy_rest, copy_values, tokens

_GLOBAL: Final = b'"message" "global"'
_FIELDS: Final = 6  # after the type: subtype, params, id, description, encoding, octets
_ENCLOSED: Final = 3  # envelope, body, lines


def structures_for(column: Sequence[bytes], *, rev2: bool) -> Sequence[bytes]:
    """Structures as they are kept, for a client of this revision."""
    if not _may_have(column):
        return column
    return [_structure_for(wire, rev2) if _may_have([wire]) else wire for wire in column]


def _may_have(column: Iterable[bytes]) -> bool:
    return _GLOBAL in b"".join(column).lower()


def _structure_for(wire: bytes, rev2: bool) -> bytes:
    out: list[bytes] = []
    _copy(tokens(wire), 0, out, rev2)
    return b"".join(out)


def _copy(pieces: list[bytes], at: int, out: list[bytes], rev2: bool) -> int:
    """Copies the body that opens at piece `at`; returns the place after it."""
    out.append(b"(")
    at += 1
    if pieces[at] == b"(":
        while pieces[at] == b"(":
            at = _copy(pieces, at, out, rev2)
        return copy_rest(pieces, at, out)
    is_message = pieces[at].lower() == b'"message"'
    is_global = is_message and pieces[at + 2].lower() == b'"global"'
    encloses = is_message and pieces[(after := copy_values(pieces, at + 1, _FIELDS, [])) + 1] == b"("
    if is_global and rev2 and not encloses:
        # RFC 9051 §9: body-type-basic is not of this type, which promises an envelope
        out += (b'"application"', b" ", b'"octet-stream"')
        at = copy_values(pieces, at + 3, _FIELDS - 1, out)
    else:
        out.append(pieces[at])
        at = copy_values(pieces, at + 1, _FIELDS, out)
    if is_global and encloses and not rev2:
        at = copy_values(pieces, after, _ENCLOSED, [])  # RFC 3501 §9: body-type-msg is message/rfc822 only
    elif encloses:
        at = copy_values(pieces, at, 1, out)
        out.append(b" ")
        at = _copy(pieces, at + 1, out, rev2)
    return copy_rest(pieces, at, out)
