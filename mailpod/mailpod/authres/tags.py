"""Tag lists, as DKIM and DMARC write them (RFC 6376 §3.2): no I/O."""

from __future__ import annotations

import contextlib
import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class BadTags(ValueError):
    """A list that does not parse."""


def parse_tags(text: str) -> dict[str, str]:
    """Values by name, without the white space around them. Raises BadTags."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip(" \t\r\n")
        if not name and not equals:
            continue  # after the last semicolon
        if not equals or not _NAME.fullmatch(name):
            raise BadTags(f"{name[:20]!r} is no tag")
        if name in found:
            raise BadTags(f"tag {name} is there twice")
        found[name] = value.strip(" \t\r\n")
    return found


def sound_tags(text: str) -> dict[str, str]:
    """The same without what does not parse; of a tag that is there twice, the first."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        with contextlib.suppress(BadTags):
            for name, value in parse_tags(part).items():
                found.setdefault(name, value)
    return found
