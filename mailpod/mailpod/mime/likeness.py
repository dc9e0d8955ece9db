"""How like a text is to a string, for SEARCH FUZZY (RFC 6203): each word of the string is to be like one of the text.

Invariants: texts come as they are indexed (collation.py), and are folded here. A word is like another only if enough of
its trigrams are somewhere in the text, so postings rule out what is not like. Time is linear in a text, for a bounded
number of words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mailpod.mime.collation import casemap
from mailpod.mime.folding import fold

EXACT: Final = 100
_NEAREST: Final = 95  # of what is not the string itself
_WITHIN: Final = 80
_WORD: Final = re.compile(r"\w+")
_WORDS: Final = 16  # of a string that count
_LONGEST: Final = 40  # characters of one
_GRAMS: Final = 12  # of one
_ENDING: Final = 3  # characters that a word may have more than its stem
_STEM: Final = 3


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the string: its trigrams, between two blanks, and how many of them a text must have."""

    text: str
    grams: tuple[str, ...]
    needed: int


class Likeness:
    """To one string. `words` is empty where the string has none: then nothing is like it."""

    __slots__ = ("words",)

    def __init__(self, value: str) -> None:
        words = dict.fromkeys(word[:_LONGEST] for word in _WORD.findall(_bare(fold(casemap(value)))))
        self.words: tuple[Word, ...] = tuple(map(_word, list(words)[:_WORDS]))

    def of(self, texts: Iterable[str]) -> int:
        """0, or 1 to 95: how like texts together are. What holds the string itself is for the caller to know."""
        if not self.words:
            return 0
        whole = " ".join(["", *(piece for text in texts for piece in fold(text).split()), ""])
        if any(sum(gram in whole for gram in word.grams) < word.needed for word in self.words):
            return 0
        found = set(_WORD.findall(_bare(whole)))
        total = 0
        for word in self.words:
            nearest = _NEAREST if word.text in found else max((_like(word.text, each) for each in found), default=0)
            if not nearest:
                return 0
            total += nearest
        return max(1, total // len(self.words))


def _word(text: str) -> Word:
    padded = f" {text} "
    grams = tuple(dict.fromkeys(padded[at : at + 3] for at in range(len(text))))[:_GRAMS]
    return Word(text, grams, 1 if len(grams) <= _STEM else max(2, len(grams) // 4))


def _bare(text: str) -> str:
    """Without accents."""
    return text if text.isascii() else "".join(each for each in text if not unicodedata.combining(each))


def _like(word: str, other: str) -> int:
    """How like two words are that are not the same: 0, or up to 90."""
    shorter, longer = sorted((word, other), key=len)
    if len(shorter) >= _STEM and longer.startswith(shorter):
        if word is shorter:
            return _WITHIN + 10 * len(word) // len(other)  # a word of which this is the beginning
        return _WITHIN - 5 * (len(word) - len(other)) if len(word) - len(other) <= _ENDING else 0
    if len(word) > _STEM and word in other:
        return 10 + 60 * len(word) // len(other)
    most = 0 if len(word) <= _STEM else 1 if len(word) < 8 else 2
    if not most or abs(len(word) - len(other)) > most:
        return 0
    apart = distance(word, other, most)
    return 75 * (len(word) - apart) // len(word) if apart <= most else 0


def distance(one: Sequence[str], two: Sequence[str], most: int) -> int:
    """Letters put in, left out, changed, or swapped with the next (optimal string alignment), or any number above
    `most`."""
    before: list[int] = []
    row = list(range(len(two) + 1))
    for at, letter in enumerate(one, 1):
        older, before, row = before, row, [at]
        for to, other in enumerate(two, 1):
            best = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != other))
            if at > 1 and to > 1 and letter == two[to - 2] and one[at - 2] == other:
                best = min(best, older[to - 2] + 1)
            row.append(best)
        if min(row) > most:
            return most + 1
    return row[-1]
