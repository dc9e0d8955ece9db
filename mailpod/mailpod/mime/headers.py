"""Header blocks: where they end, their fields, and what is kept of them.

Lines end at LF, with or without CR before it; a bare CR is a character like others. A line without a colon is not a
field and does not end the header, as in Dovecot.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

CACHED_FIELDS: frozenset[bytes] = frozenset(
    b"""date from sender reply-to to cc bcc subject message-id in-reply-to references content-type
    content-transfer-encoding content-disposition mime-version list-id list-post list-unsubscribe
    list-unsubscribe-post list-help x-priority priority importance newsgroups x-mailer disposition-notification-to
    auto-submitted precedence x-tuid x-spam-flag x-spam-status resent-from resent-to""".split()
)
"""Names, in lower case, of the fields whose raw lines are kept with a message's index record."""

Fields: TypeAlias = dict[bytes, list[bytes]]

_BLANK_LINE = re.compile(rb"\n\r?\n")
_FIELD_END = re.compile(rb"\n(?![ \t])")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_NAME = re.compile(rb"[^\x00-\x20:]+")
_REMEMBERED: Final = 2048  # names as they are written: nearly all mail has the same few
_LONG_NAME: Final = 64  # octets; such a name is not remembered
_NUL_IN_RAW = b"\x80"  # one octet for one, so that sizes stay; Dovecot's choice for NULs in literals


def header_end(data: bytes, start: int, limit: int) -> int:
    """Offset after the blank line that ends the header at `start`, or `limit` where there is none."""
    if data.startswith((b"\n", b"\r\n"), start, limit):
        return data.index(b"\n", start) + 1
    found = _BLANK_LINE.search(data, start, limit)
    return found.end() if found else limit


def clean(raw: bytes) -> bytes:
    """`raw` as an IMAP literal may carry it: lines end with CRLF, no NUL (RFC 3501 §9, CHAR8)."""
    if raw.count(b"\n") != raw.count(b"\r\n"):
        raw = _BARE_LF.sub(b"\r\n", raw)
    return raw.replace(b"\0", _NUL_IN_RAW) if b"\0" in raw else raw


def split_lines(raw: bytes) -> list[bytes]:
    """The fields of a header block as raw lines without their last LF, folds kept; the blank line is dropped."""
    lines = _trimmed(raw.split(b"\n"))
    # a fold begins with a space or a tab, and few lines with anything before "!"
    return _trimmed(_FIELD_END.split(raw)) if lines and min(lines) < b"!" else lines


def _trimmed(lines: list[bytes]) -> list[bytes]:
    while lines and lines[-1] in (b"", b"\r"):
        lines.pop()
    return lines


def field_name(line: bytes) -> bytes:
    """Lower-case name of a raw field, b"" for a line that is none. White space before the colon is let pass."""
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t").lower()
    return name if colon and _NAME.fullmatch(name) else b""


def parse_fields(raw: bytes) -> Fields:
    """Raw values (after the colon, folds kept) by lower-case name, in order of appearance."""
    return parse_lines(split_lines(raw))[0]


def parse_lines(lines: list[bytes]) -> tuple[Fields, list[bytes], list[bytes]]:
    """The fields of raw lines, of these lines those of CACHED_FIELDS, and the names of the other fields."""
    fields: Fields = {}
    kept = []
    others = []
    for line in lines:
        written, colon, value = line.partition(b":")
        if colon:
            name, is_kept, is_named = _NAMES[written]
            if is_kept:
                kept.append(line)
            if name in fields:
                fields[name].append(value)
            else:
                fields[name] = [value]
                if is_named:
                    others.append(name)
    return fields, kept, others


def _read_name(written: bytes) -> tuple[bytes, bool, bool]:
    """What stands before a colon: the name in lower case; whether it is one of CACHED_FIELDS, or is to be named."""
    name = written.lower().rstrip(b" \t")
    kept = name in CACHED_FIELDS
    return name, kept, not kept and _NAME.fullmatch(name) is not None


class _Names(dict[bytes, tuple[bytes, bool, bool]]):
    """What `_read_name` says of short names, as many as are remembered: a look-up costs a third of a call."""

    def __missing__(self, written: bytes) -> tuple[bytes, bool, bool]:
        found = _read_name(written)
        if len(written) < _LONG_NAME:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[written] = found
        return found


_NAMES: Final = _Names()


def unfold(value: bytes) -> bytes:
    """A raw value on one line, white space around it dropped (RFC 5322 §2.2.3: only the line ends go).

    A bare CR, which no quoted string can hold, becomes a space, as in Dovecot.
    """
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    value = value.strip(b" \t\r")
    return value.replace(b"\r", b" ") if b"\r" in value else value


def kept_block(lines: list[bytes]) -> bytes:
    """Raw lines of CACHED_FIELDS as they are kept."""
    if not lines:
        return b""
    kept = b"\n".join(lines)
    return clean(kept + (b"\n" if kept.endswith(b"\r") else b"\r\n"))


def field_values(fields: bytes, name: bytes) -> list[bytes]:
    """Unfolded raw values of a field (lower case) in what a page keeps, where each field ends with CRLF."""
    lines = fields.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t").split(b"\r\n")
    pairs = [line.partition(b":") for line in lines]
    return [value for word, _, value in pairs if word.rstrip(b" \t").lower() == name]
