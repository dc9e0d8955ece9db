"""ENVELOPE (RFC 3501 §7.4.2, RFC 9051 §7.5.2) from the fields of a header."""

from __future__ import annotations

from typing import Final

from mailpod.mime.addresses import address_list
from mailpod.mime.headers import Fields, unfold
from mailpod.mime.wire import NIL, nstring, plain

_LISTS: Final = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")
_TEXTS: Final = (b"date", b"subject", b"in-reply-to", b"message-id")


def envelope(fields: Fields) -> bytes:
    """Wire form, parentheses included, of raw values by lower-case name (headers.parse_fields)."""
    found = [fields.get(name) for name in _LISTS]
    author, sender, reply_to, to, cc, bcc = [address_list(values) if values else NIL for values in found]
    date, subject, in_reply_to, message_id = _texts(fields)
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        date,
        subject,
        author,
        # RFC 3501 §7.4.2: missing or empty sender and reply-to are filled from From
        author if sender == NIL else sender,
        author if reply_to == NIL else reply_to,
        to,
        cc,
        bcc,
        in_reply_to,
        message_id,
    )


def _texts(fields: Fields) -> list[bytes]:
    """The unstructured fields as nstrings; of several of a name the last counts, as in Dovecot."""
    found = [fields.get(name) for name in _TEXTS]
    date, subject, *ids = [values[-1].strip(b" \t\r") if values else None for values in found]
    if subject is not None:
        subject = b" ".join(subject.split())  # as Dovecot sends it: folds leave no trace
    texts = (date, subject, *ids)
    if plain(b"".join([value or b"" for value in texts])):  # one look at all of them
        return [NIL if value is None else b'"%b"' % value for value in texts]
    return [nstring(value if value is None or plain(value) else unfold(value)) for value in texts]
