"""Passwords as they are compared: RFC 8265 §4.2, the profile OpaqueString."""

from __future__ import annotations

import unicodedata


def opaque_string(password: str) -> str:
    """The one form of a password that keyboards and systems write in several: any space is U+0020, the rest is NFC.

    Neither case nor width is mapped. ASCII stays as it is.
    """
    if password.isascii():
        return password
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in password)
    return unicodedata.normalize("NFC", spaced)
