"""Text as FUZZY compares it (RFC 6203 §5): ß is like ss, a ligature like its letters, whatever their case."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """Full case folding of what `casemap` (collation.py) gives, which what is indexed is."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
