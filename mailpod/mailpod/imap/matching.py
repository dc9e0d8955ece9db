"""LIST patterns (RFC 3501 §6.3.8): `*` matches anything, `%` anything but the delimiter.

Invariant: linear in the name, whatever the pattern: all positions in the pattern are followed at once, as bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mailpod.imap.names import DELIMITER, canonical

_WILDCARDS: Final = re.compile(r"[*%]{2,}")


class Matcher:
    """Whether a name matches any of the patterns, each taken below `reference`."""

    __slots__ = ("_patterns",)

    def __init__(self, reference: str, patterns: Sequence[str]) -> None:
        self._patterns = [_Pattern(canonical(reference + pattern)) for pattern in patterns]
        # RFC 3501 §6.3.8: INBOX in any case is meant by a pattern that matches it in upper case
        self._patterns += [_Pattern(pattern.upper(), only_inbox=True) for pattern in map(reference.__add__, patterns)]

    def reaches(self, parent: str) -> bool:
        """Whether `parent`, or a name below it, might match."""
        return any(pattern.follows(parent) for pattern in self._patterns)

    def __call__(self, name: str) -> bool:
        return any(pattern.matches(name) for pattern in self._patterns)


class _Pattern:
    """Bit i of a state: the name so far can be matched by the pattern's first i elements."""

    __slots__ = ("_any", "_final", "_literals", "_only_inbox", "_within")

    def __init__(self, pattern: str, only_inbox: bool = False) -> None:
        pattern = _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", pattern)
        self._only_inbox = only_inbox
        self._literals: dict[str, int] = {}
        self._any = self._within = 0
        for at, element in enumerate(pattern):
            if element == "*":
                self._any |= 1 << at
            elif element == "%":
                self._within |= 1 << at
            else:
                self._literals[element] = self._literals.get(element, 0) | 1 << at
        self._final = 1 << len(pattern)

    def matches(self, name: str) -> bool:
        if self._only_inbox and name != "INBOX":
            return False
        return bool(self.follows(name) & self._final)

    def follows(self, name: str) -> int:
        """The state after these characters; 0: no name that begins so matches."""
        wild = self._any | self._within
        state = 1 | (wild & 1) << 1
        for character in name:
            staying = self._any if character == DELIMITER else wild
            state = (state & self._literals.get(character, 0)) << 1 | state & staying
            state |= (state & wild) << 1
            if not state:
                return 0
        return state
