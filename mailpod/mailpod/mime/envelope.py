"""ENVELOPE (RFC 3501 §7.4.2, RFC 9051 §7.5.2) from the fields of a header."""

from __future__ import annotations

from mailpod.mime.addresses import address_list
from mailpod.mime.headers import Fields, unfold
from mailpod.mime.wire import NIL, plain, string


def envelope(fields: Fields) -> bytes:
    """Wire form, parentheses included, of raw values by lower-case name (headers.parse_fields)."""
    sender = addresses(fields, b"from")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        text(fields, b"date"),
        _subject(fields),
        sender,
        # RFC 3501 §7.4.2: missing or empty sender and reply-to are filled from From
        _or(addresses(fields, b"sender"), sender),
        _or(addresses(fields, b"reply-to"), sender),
        addresses(fields, b"to"),
        addresses(fields, b"cc"),
        addresses(fields, b"bcc"),
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


def addresses(fields: Fields, name: bytes) -> bytes:
    """All address fields of one name as one list."""
    values = fields.get(name)
    return address_list(values) if values else NIL


def _or(value: bytes, default: bytes) -> bytes:
    return default if value == NIL else value


def _subject(fields: Fields) -> bytes:
    """The subject with each run of white space made one space, as Dovecot sends it: folds leave no trace."""
    values = fields.get(b"subject")
    return string(b" ".join(values[-1].split())) if values else NIL
