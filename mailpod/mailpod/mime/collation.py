"""i;unicode-casemap (RFC 5051): text as SORT and THREAD compare it (RFC 5256 §2.1, §5)."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


def casemap(text: str) -> str:
    """What is compared code point by code point, which is the order of the UTF-8 octets too."""
    return text.upper() if text.isascii() else "".join(map(_mapped, text))


@lru_cache(maxsize=4096)
def _mapped(character: str) -> str:
    title = character.title()
    # RFC 5051 §2 (1): the simple titlecase mapping only; one that gives several characters is not among those
    return _decomposed(title if len(title) == 1 else character)


def _decomposed(character: str) -> str:
    """RFC 5051 §2 (2): the Decomposition property, recursively; Hangul syllables have none."""
    words = unicodedata.decomposition(character).split()
    if not words:
        return character
    codes = words[1:] if words[0].startswith("<") else words
    return "".join(_decomposed(chr(int(code, 16))) for code in codes)
