"""ENVELOPE (RFC 3501 §7.4.2, RFC 9051 §7.5.2) from the fields of a header."""

from __future__ import annotations

from typing import Final

from mailpod.mime.addresses import address_list
from mailpod.mime.headers import Fields, unfold
from mailpod.mime.wire import NIL, plain, string

_LISTS: Final = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")


def envelope(fields: Fields) -> bytes:
    """Wire form, parentheses included, of raw values by lower-case name (headers.parse_fields)."""
    found = [fields.get(name) for name in _LISTS]
    author, sender, reply_to, to, cc, bcc = [address_list(values) if values else NIL for values in found]
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        text(fields, b"date"),
        _subject(fields),
        author,
        # RFC 3501 §7.4.2: missing or empty sender and reply-to are filled from From
        author if sender == NIL else sender,
        author if reply_to == NIL else reply_to,
        to,
        cc,
        bcc,
        text(fields, b"in-reply-to"),
        text(fields, b"message-id"),
    )


def text(fields: Fields, name: bytes) -> bytes:
    """An unstructured field as nstring; of several the last counts, as in Dovecot."""
    values = fields.get(name)
    if not values:
        return NIL
    value = values[-1].strip(b" \t\r")
    return plain(value) or string(unfold(value))


def _subject(fields: Fields) -> bytes:
    """The subject with each run of white space made one space, as Dovecot sends it: folds leave no trace."""
    values = fields.get(b"subject")
    return string(b" ".join(values[-1].split())) if values else NIL
