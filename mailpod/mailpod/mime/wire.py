"""Strings as IMAP sends them (RFC 3501 §4.3).

Whatever the bytes, what comes out is a valid `string`: no NUL ever, and a quoted string holds 7-bit text with no CR
or LF.
"""

from __future__ import annotations

import re

NIL = b"NIL"
_PLAIN = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]*")
_ESCAPED = re.compile(rb'(["\\])')
_QUOTED_MAX = 1000  # octets; a longer string goes as a literal, since lines of clients' parsers are bounded
_REPLACEMENT = b"\xef\xbf\xbd"  # U+FFFD, what Dovecot puts for a NUL in a header


def plain(value: bytes) -> bytes | None:
    """`value` between quotes, as most strings are sent; None where it has to be changed or go as a literal."""
    return b'"%b"' % value if _PLAIN.fullmatch(value) and len(value) < _QUOTED_MAX else None


def string(value: bytes) -> bytes:
    """`value` as a quoted string, or as a literal where a quoted string cannot hold it."""
    found = plain(value)
    if found is not None:
        return found
    # RFC 3501 §9: quoted-specials are the only TEXT-CHARs that need the backslash
    if len(value) < _QUOTED_MAX and value.isascii() and not (b"\0" in value or b"\r" in value or b"\n" in value):
        return b'"%b"' % _ESCAPED.sub(rb"\\\1", value)
    if b"\0" in value:
        value = value.replace(b"\0", _REPLACEMENT)
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """`value` as a string, NIL for None: absent and empty differ (RFC 3501 §7.4.2)."""
    return NIL if value is None else string(value)
