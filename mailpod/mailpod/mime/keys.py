"""What SORT and THREAD compare of a message, from what the index has of its header (RFC 5256 §2, §3).

Invariant: a function of the message alone, so that what was found out may be kept for good.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mailpod.mime.charsets import octets, strictly
from mailpod.mime.collation import casemap
from mailpod.mime.envelopes import Address, subject_of
from mailpod.mime.headers import field_values
from mailpod.mime.msgids import message_ids
from mailpod.mime.text import decode_header, parse_date, subject_base

_ID_FIELDS: Final = re.compile(
    rb"^(message-id|references|in-reply-to)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE
)
# RFC 5255 §4.6: what cannot be decoded is compared by its octets, and stands behind all else
_BEHIND: Final = "\U0010ffff"


class Subject(NamedTuple):
    """The base subject as it is compared, and whether the subject is that of a reply or forward."""

    base: str
    reply: bool


class Ids(NamedTuple):
    """The id of a message, b"" without a valid one, and of those it refers to, the oldest first."""

    own: bytes
    references: tuple[bytes, ...]


def subject_key(envelope: bytes) -> Subject:
    """From ENVELOPE's wire form."""
    raw = subject_of(envelope) or b""
    try:
        base, reply = subject_base(decode_header(raw, strictly))
    except ValueError:
        base, reply = subject_base(decode_header(raw, octets))
        return Subject(base and _BEHIND + base, reply)
    return Subject(casemap(base), reply)


def mailbox_key(address: Address | None) -> str:
    """RFC 5256 §3 FROM, TO, CC: addr-mailbox of the first address."""
    return text_key((address and address.mailbox) or b"")


def text_key(raw: bytes) -> str:
    """Of a string that has no encoded words."""
    try:
        return casemap(strictly(raw))
    except ValueError:
        return _BEHIND + octets(raw)


def words_key(raw: bytes) -> str:
    """Of one that may have them."""
    try:
        return casemap(decode_header(raw, strictly).strip())
    except ValueError:
        return _BEHIND + decode_header(raw, octets).strip()


def sent(fields: bytes, arrived: int) -> int:
    """RFC 5256 §2.2: the Date field in UTC; without one that can be read, INTERNALDATE."""
    values = field_values(fields, b"date")
    found = parse_date(values[0]) if values else None
    return arrived if found is None else found[0]


def ids_of(fields: bytes) -> Ids:
    """From the lines of the header fields that the index keeps."""
    found = {name.lower(): value for name, value in reversed(_ID_FIELDS.findall(fields))}  # of several the first counts
    own = message_ids(found.get(b"message-id", b""))
    references = message_ids(found.get(b"references", b""))
    if not references:
        # RFC 5256 §3 REFERENCES: else "the first (if any) valid message ID found in the In-Reply-To header line"
        references = message_ids(found.get(b"in-reply-to", b""))[:1]
    return Ids(own[0] if own else b"", tuple(references))
