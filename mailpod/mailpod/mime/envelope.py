"""ENVELOPE (RFC 3501 §7.4.2, RFC 9051 §7.5.2) from the fields of a header. Each message that comes pays for it: no loop
over the ten, whose names are known."""

from __future__ import annotations

from mailpod.mime.addresses import address_list
from mailpod.mime.headers import Fields, unfold
from mailpod.mime.wire import NIL, plain, string


def envelope(fields: Fields) -> bytes:
    """Wire form, parentheses included, of raw values by lower-case name (headers.parse_fields)."""
    get = fields.get
    author = address_list(values) if (values := get(b"from")) else NIL
    sender = address_list(values) if (values := get(b"sender")) else NIL
    reply_to = address_list(values) if (values := get(b"reply-to")) else NIL
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(get(b"date")),
        # with each run of white space made one space, as Dovecot sends it: folds leave no trace
        string(b" ".join(values[-1].split())) if (values := get(b"subject")) else NIL,
        author,
        # RFC 3501 §7.4.2: missing or empty sender and reply-to are filled from From
        author if sender == NIL else sender,
        author if reply_to == NIL else reply_to,
        address_list(values) if (values := get(b"to")) else NIL,
        address_list(values) if (values := get(b"cc")) else NIL,
        address_list(values) if (values := get(b"bcc")) else NIL,
        _text(get(b"in-reply-to")),
        _text(get(b"message-id")),
    )


def _text(values: list[bytes] | None) -> bytes:
    """An unstructured field as nstring; of several the last counts, as in Dovecot."""
    if not values:
        return NIL
    value = values[-1].strip(b" \t\r")
    return plain(value) or string(unfold(value))
