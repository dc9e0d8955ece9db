"""Text as SEARCH compares it: case does not count, and composed and decomposed letters are alike."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """Near to RFC 5051. What is indexed (store/postings.py) and what is asked for are both folded so."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
