"""xtext: text without spaces, as RFC 3461 §4 writes it in parameters and notices have to read it. No I/O."""

from __future__ import annotations

import re
from typing import Final

_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEXCHAR: Final = re.compile(r"\+([0-9A-F]{2})")


def xtext_encoded(text: str) -> str:
    """The xtext of ASCII."""
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)


def xtext_decoded(text: str) -> str | None:
    """What xtext stands for; None where it is not xtext, or stands for something beyond ASCII."""
    if not _XTEXT.fullmatch(text):
        return None
    decoded = _HEXCHAR.sub(lambda found: chr(int(found[1], 16)), text)
    return decoded if decoded.isascii() else None
