"""BODY[section]<partial>: which octets of a message it needs, and the value made of them (RFC 3501 §6.4.5).

Invariants: no I/O. `span` and `cut` belong together: `cut` takes exactly the octets that `span` names. The value None
is a section that does not exist (NIL); an empty one is b"".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from mailpod.imap.derived import derive
from mailpod.imap.syntax import FetchAttr, FetchBody, FetchItem
from mailpod.mime.decoding import decoded_part
from mailpod.mime.headers import CACHED_FIELDS
from mailpod.mime.preview import PREVIEWED, preview
from mailpod.mime.sections import What, header_fields, locate
from mailpod.store.rows import take

if TYPE_CHECKING:
    from mailpod.store import Page

Form: TypeAlias = Literal["", "binary", "size", "preview", "lazy"]
_PREVIEWS: Final = "previews"


@dataclass(frozen=True, slots=True)
class Section:
    """One section asked for. `names` (lower case) is set for HEADER.FIELDS and, with `invert`, HEADER.FIELDS.NOT."""

    label: bytes
    path: tuple[int, ...]
    what: What
    names: frozenset[bytes] | None = None
    invert: bool = False
    partial: tuple[int, int] | None = None
    form: Form = ""

    @property
    def whole(self) -> bool:
        """BODY[] and RFC822."""
        return not self.path and not self.what and self.partial is None and not self.form

    @property
    def cacheable(self) -> bool:
        """May be answered from a page's `fields`, for those messages that have no other of the fields asked for."""
        return self.previews or (self.names is not None and not self.path and not self.invert and not self.form)

    @property
    def previews(self) -> bool:
        return self.form in ("preview", "lazy")

    def wire(self, value: bytes | None) -> list[bytes]:
        """The value as it is sent, with the space before it."""
        if self.form == "size":
            return [b" ", value or b"0"]  # RFC 3516 §7: a number, of a part that is not there too
        if value is None:
            return [b" NIL"]
        if not value:
            return [b' ""']
        # RFC 3516 §4.2: octets that a literal cannot hold (RFC 3501 §9, CHAR8) are a literal8
        return [
            b" ~{%d}\r\n" % len(value) if self.form == "binary" and b"\0" in value else b" {%d}\r\n" % len(value),
            value,
        ]


_NAMED: Final = {
    "PREVIEW": Section(b"PREVIEW", (), "", form="preview"),
    "PREVIEW (LAZY)": Section(b"PREVIEW", (), "", form="lazy"),
    "RFC822": Section(b"RFC822", (), ""),
    "RFC822.HEADER": Section(b"RFC822.HEADER", (), "HEADER"),
    "RFC822.TEXT": Section(b"RFC822.TEXT", (), "TEXT"),
}


def section_of(item: FetchItem) -> Section | None:
    """The section that a FETCH item asks for; None for an item that is none."""
    if isinstance(item, FetchAttr):
        return _NAMED.get(item.name)
    base, _, variant = item.what.partition(".")
    names = frozenset(name.lower() for name in item.fields) if variant else None
    form: Form = "" if isinstance(item, FetchBody) else "size" if item.size else "binary"
    return Section(item.label, item.path, cast(What, base), names, variant == "FIELDS.NOT", item.partial, form)


def marks_seen(item: FetchItem) -> bool:
    """RFC 3501 §6.4.5: BODY[], RFC822 and RFC822.TEXT set \\Seen, BODY.PEEK[] and RFC822.HEADER do not."""
    if isinstance(item, FetchAttr):
        return item.name in ("RFC822", "RFC822.TEXT")
    return not item.peek


def span(section: Section, page: Page, row: int) -> tuple[int, int] | None:
    """The octets of the message, end exclusive, that the section's value is made of."""
    parts, size, header = page.parts[row], page.sizes[row], page.header_sizes[row]
    if section.previews:
        return (0, min(size, header + PREVIEWED)) if section.form == "preview" else None
    found = locate(parts, size, header, section.path, section.what)
    if found is None or section.names is not None:
        return found
    if section.form and not section.what:
        # the part's own header says how it is encoded; the whole message stands as it is (RFC 3516 §4.2)
        mime = locate(parts, size, header, section.path, "MIME") if section.path else None
        return found if mime is None else (mime[0], found[1])
    if section.partial is None or section.form:
        return found
    # RFC 3501 §6.4.5: a partial fetch is cut at the end, and beyond it is empty
    start = min(found[0] + section.partial[0], found[1])
    return start, min(start + section.partial[1], found[1])


def cut(section: Section, octets: bytes, page: Page, row: int) -> bytes:
    """The value, from the octets in `span`. Raises UnknownEncoding."""
    if section.previews:
        value = preview(octets, page.parts[row], page.header_sizes[row]).encode()
        _remember(page, row, value)
        return value
    value = octets if section.names is None else header_fields(octets, section.names, section.invert)
    if section.form:
        value = decoded_part(octets) if section.path and not section.what else value
        return b"%d" % len(value) if section.form == "size" else _partial(section, value)
    return value if section.names is None else _partial(section, value)


def _remember(page: Page, row: int, value: bytes) -> None:
    """A preview is made once for as long as its page is in memory."""
    known = page.derived.setdefault(_PREVIEWS, [])
    known += [None] * (len(page) - len(known))
    known[row] = value


def from_cache(section: Section, page: Page, rows: Sequence[int]) -> list[bytes | None]:
    """Values of a cacheable section without reading a message; None where that cannot be."""
    if section.previews:
        known = page.derived.get(_PREVIEWS, ())
        return [known[row] if row < len(known) else None for row in rows]
    names = section.names or frozenset()
    whole = fields_of(page, names, rows)
    values: list[bytes | None] = [*whole] if section.partial is None else [_partial(section, each) for each in whole]
    others = names - CACHED_FIELDS
    if others:
        for at, row in enumerate(rows):
            if not others.isdisjoint(page.names[row].split(b" ")):
                values[at] = None
    return values


def fields_of(page: Page, names: frozenset[bytes], rows: Sequence[int]) -> Sequence[bytes]:
    """Of each message the fields of these names that pages keep, as HEADER.FIELDS gives them."""

    def make(rows: Sequence[int]) -> list[bytes]:
        chosen = page.chosen(names, rows)
        return choose(take(page.fields, rows), names) if chosen is None else chosen

    return derive(page, names, rows, make)


def choose(column: Sequence[bytes], names: frozenset[bytes]) -> list[bytes]:
    """`header_fields` of what pages keep: fields that end with CRLF and hold no NUL.

    Of all messages at once: each ends with its empty line, and a line that is a NUL stands before it.
    """
    between = b"\0\n"
    text = between + (b"\r\n" + between).join(column) + b"\r\n"
    return _others(names).sub(b"", text)[len(between) :].split(between)


def _others(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """The LF before a field that has none of these names, and what follows up to the CR before one that has, or before
    the end of the message: a line more is a fold, or another such field."""
    wanted = b"|".join(map(re.escape, sorted(names & CACHED_FIELDS))) or rb"(?!)"
    line = rb"\n(?!(?:%b)[ \t]*:)" % wanted
    return re.compile(rb"%b[^\r\0 \t][^\n]*(?:%b[^\r\0][^\n]*)*" % (line, line), re.IGNORECASE)


def _partial(section: Section, value: bytes) -> bytes:
    if section.partial is None:
        return value
    first, count = section.partial
    return value[first : first + count]
