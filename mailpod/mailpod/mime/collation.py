"""i;unicode-casemap (RFC 5051): text as SEARCH, SORT and THREAD compare it (RFC 5255 §4.2), and as it is indexed.

Invariant: each code point is mapped for itself, so a string is in a text only if the one's map is in the other's.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import chain
from typing import Final

# Nothing else has a case or a decomposition, but for what is above U+FFFF, which is rare
_CASED: Final = (range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0x10000))


def casemap(text: str) -> str:
    """What is compared code point by code point, which is the order of the UTF-8 octets too."""
    if text.isascii():
        return text.upper()
    pieces = _apart().split(text)  # every second one needs the table
    pieces[::2] = [unicodedata.normalize("NFKD", piece.upper()) for piece in pieces[::2]]
    pieces[1::2] = [piece.translate(_TABLE) for piece in pieces[1::2]]
    return "".join(pieces)


class _Table(dict[int, str]):
    """Filled with what is met."""

    def __missing__(self, code: int) -> str:
        self[code] = mapped = _mapped(chr(code))
        return mapped


_TABLE: Final = _Table()


@cache
def _apart() -> re.Pattern[str]:
    """Runs of what Python's own mappings, which are quicker, would change otherwise than RFC 5051 does: Hangul
    syllables, combining characters, whose order is kept, and those with several capitals or with small parts."""
    own = "".join(re.escape(each) for each in map(chr, chain(*_CASED)) if _is_apart(each))
    return re.compile(f"([{own}\uac00-\ud7a3\U00010000-\U0010ffff]+)")


def _is_apart(character: str) -> bool:
    mapped = _mapped(character)
    return unicodedata.combining(mapped[0]) > 0 or mapped != unicodedata.normalize("NFKD", character.upper())


def _mapped(character: str) -> str:
    title = character.title()
    # RFC 5051 §2 (2)(a): the simple titlecase mapping only; one that gives several characters is not among those
    return _decomposed(title if len(title) == 1 else character)


def _decomposed(character: str) -> str:
    """RFC 5051 §2 (2)(b): the Decomposition property, recursively; Hangul syllables have none."""
    words = unicodedata.decomposition(character).split()
    if not words:
        return character
    codes = words[1:] if words[0].startswith("<") else words
    return "".join(_decomposed(chr(int(code, 16))) for code in codes)
