"""Mailbox names as clients may choose them.

Invariant: a name that passed `check_new` has no control character, no wildcard and no empty component, so it can be
listed, matched and encoded everywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from mailpod.errors import CannotDo

DELIMITER: Final = "/"
_INBOX: Final = "INBOX"
_REFUSED_CATEGORIES: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))
MAX_NAME_BYTES: Final = 1000  # of the whole name in UTF-8
MAX_DEPTH: Final = 50


def canonical(name: str) -> str:
    """RFC 3501 §5.1: INBOX in any case is the one INBOX, and the first component of its children likewise.

    RFC 9051 §5.1: a name is Net-Unicode, so in whatever form it comes, its normalization form C is meant.
    """
    name = unicodedata.normalize("NFC", name)
    first, delimiter, rest = name.partition(DELIMITER)
    return _INBOX + delimiter + rest if first.upper() == _INBOX and first.isascii() else name


def check_new(name: str) -> None:
    """Raises CannotDo for a name that CREATE and RENAME must not make."""
    if "%" in name or "*" in name:
        raise CannotDo("A mailbox name cannot contain the wildcards % and *")
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name):
        raise CannotDo("A mailbox name cannot contain control characters")
    components = name.split(DELIMITER)
    if not all(components):
        raise CannotDo(f"A mailbox name cannot have an empty component between {DELIMITER} characters")
    if len(components) > MAX_DEPTH:
        raise CannotDo(f"A mailbox name cannot be deeper than {MAX_DEPTH} levels")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise CannotDo(f"A mailbox name cannot be longer than {MAX_NAME_BYTES} bytes")


def superiors(name: str) -> Iterator[str]:
    """The names above `name`, the nearest first."""
    while DELIMITER in name:
        name = name.rpartition(DELIMITER)[0]
        yield name


def order(name: str) -> tuple[bool, str]:
    """INBOX first."""
    return name != _INBOX, name
