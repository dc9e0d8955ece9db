"""BODY[section]<partial>: which octets of a message it needs, and the value made of them (RFC 3501 §6.4.5).

Invariants: no I/O. `span` and `cut` belong together: `cut` takes exactly the octets that `span` names. The value None
is a section that does not exist (NIL); an empty one is b"".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from mailpod.imap.derived import derive, take
from mailpod.imap.syntax import FetchAttr, FetchBody
from mailpod.mime.headers import CACHED_FIELDS
from mailpod.mime.sections import What, header_fields, locate

if TYPE_CHECKING:
    from mailpod.store import Page


@dataclass(frozen=True, slots=True)
class Section:
    """One section asked for. `names` (lower case) is set for HEADER.FIELDS and, with `invert`, HEADER.FIELDS.NOT."""

    label: bytes
    path: tuple[int, ...]
    what: What
    names: frozenset[bytes] | None = None
    invert: bool = False
    partial: tuple[int, int] | None = None

    @property
    def whole(self) -> bool:
        """BODY[] and RFC822."""
        return not self.path and not self.what and self.partial is None

    @property
    def cacheable(self) -> bool:
        """May be answered from a page's `fields`, for those messages that have no other of the fields asked for."""
        return self.names is not None and not self.path and not self.invert


_LEGACY: Final = {
    "RFC822": Section(b"RFC822", (), ""),
    "RFC822.HEADER": Section(b"RFC822.HEADER", (), "HEADER"),
    "RFC822.TEXT": Section(b"RFC822.TEXT", (), "TEXT"),
}


def section_of(item: FetchBody | FetchAttr) -> Section | None:
    """The section that a FETCH item asks for; None for an item that is none."""
    if isinstance(item, FetchAttr):
        return _LEGACY.get(item.name)
    base, _, variant = item.what.partition(".")
    names = frozenset(name.lower() for name in item.fields) if variant else None
    return Section(item.label, item.path, cast(What, base), names, variant == "FIELDS.NOT", item.partial)


def marks_seen(item: FetchBody | FetchAttr) -> bool:
    """RFC 3501 §6.4.5: BODY[], RFC822 and RFC822.TEXT set \\Seen, BODY.PEEK[] and RFC822.HEADER do not."""
    if isinstance(item, FetchAttr):
        return item.name in ("RFC822", "RFC822.TEXT")
    return not item.peek


def span(section: Section, page: Page, row: int) -> tuple[int, int] | None:
    """The octets of the message, end exclusive, that the section's value is made of."""
    found = locate(page.parts[row], page.sizes[row], page.header_sizes[row], section.path, section.what)
    if found is None or section.names is not None or section.partial is None:
        return found
    # RFC 3501 §6.4.5: a partial fetch is cut at the end, and beyond it is empty
    start = min(found[0] + section.partial[0], found[1])
    return start, min(start + section.partial[1], found[1])


def cut(section: Section, octets: bytes) -> bytes:
    """The value, from the octets in `span`."""
    if section.names is None:
        return octets
    return _partial(section, header_fields(octets, section.names, section.invert))


def from_cache(section: Section, page: Page, rows: Sequence[int]) -> list[bytes | None]:
    """Values of a cacheable section without reading a message; None where that cannot be."""
    names = section.names or frozenset()
    whole = derive(page, names, rows, lambda rows: choose(take(page.fields, rows), names))
    values: list[bytes | None] = [*whole] if section.partial is None else [_partial(section, each) for each in whole]
    others = names - CACHED_FIELDS
    if others:
        for at, row in enumerate(rows):
            if not others.isdisjoint(page.names[row].split(b" ")):
                values[at] = None
    return values


class _Wanted(dict[bytes, bool]):
    """Whether a field's name, as spelled, is asked for: worked out once a spelling."""

    def __init__(self, names: frozenset[bytes]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, spelled: bytes) -> bool:
        wanted = self[spelled] = spelled.rstrip(b" \t").lower() in self._names
        return wanted


def choose(column: Sequence[bytes], names: frozenset[bytes]) -> list[bytes]:
    """`header_fields` of what pages keep: fields that end with CRLF and hold no NUL, which stands for a fold here."""
    wanted, out = _Wanted(names), []
    for raw in column:
        lines = raw.replace(b"\r\n ", b"\0 ").replace(b"\r\n\t", b"\0\t").split(b"\r\n")
        kept = [line for line in lines if wanted[line.partition(b":")[0]]]
        kept.append(b"\r\n")
        out.append(b"\r\n".join(kept).replace(b"\0", b"\r\n"))
    return out


def _partial(section: Section, value: bytes) -> bytes:
    if section.partial is None:
        return value
    first, count = section.partial
    return value[first : first + count]
