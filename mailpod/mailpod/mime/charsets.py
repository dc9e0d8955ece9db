"""Bytes to text for searching and sorting: any charset name, any bytes, and always an answer.

Names are looked up in Python's own table only: a codec is never searched for on disk by a name that came by mail.
"""

from __future__ import annotations

import binascii
from contextlib import suppress
from encodings.aliases import aliases
from typing import Final

# not charsets of mail: they are transformations, take quadratic time, or raise by design
_NOT_TEXT = frozenset(
    (
        *("base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "uu_codec", "zlib_codec", "rot_13", "mbcs", "oem"),
        *("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"),
    )
)
_CODECS = {name: name for name in aliases.values() if name not in _NOT_TEXT}
_CODECS |= {alias: name for alias, name in aliases.items() if name not in _NOT_TEXT}
_CODECS |= {
    "utf8mb4": "utf_8",
    "x_sjis": "cp932",
    "shift_jis": "cp932",  # what Windows means by it
    "gb2312": "gb18030",  # the same, and gb18030 is a superset
    "x_gbk": "gb18030",
    "iso_8859_8_i": "iso8859_8",
    "x_mac_roman": "mac_roman",
    "koi8_u": "koi8_u",
    "windows_874": "cp874",
    "windows_31j": "cp932",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
}
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))


_STRAY: Final = {0xDC00 + octet: octet for octet in range(0x80, 0x100)}


def decode(data: bytes, charset: str = "") -> str:
    """`data` in `charset`; what is in none that is known is read as UTF-8, and octets that are not UTF-8 as Latin-1.
    Never raises."""
    try:
        return strictly(data, charset)
    except ValueError:
        pass
    # RFC 5255 §4.6 (c): the octets that are asked for are to be found, and these are UTF-8
    codec = _codec(charset)
    if codec in ("", "ascii"):
        return data.decode("utf_8", "surrogateescape").translate(_STRAY)
    for name, errors in (("utf_8", "strict"), (codec, "replace")):
        with suppress(LookupError, ValueError):  # a stateful codec may refuse even with "replace"
            return data.decode(name, errors)
    return octets(data)


def strictly(data: bytes, charset: str = "") -> str:
    """The same. Raises ValueError where the charset is not known, or `data` is not in it."""
    codec = _codec(charset)
    try:
        return data.decode("utf_8" if codec == "ascii" else codec)  # what says that it is ASCII is often UTF-8
    except LookupError as error:
        raise ValueError(charset) from error


def octets(data: bytes, _charset: str = "") -> str:
    """Undecoded: a character an octet."""
    return data.decode("latin-1")


def _codec(charset: str) -> str:
    """Nothing for one that is not known."""
    name = charset.strip().lower().replace("-", "_").replace(".", "_").replace(" ", "_")
    return _CODECS.get(name, "") if name else "ascii"


def base64(data: bytes) -> bytes:
    """Base64 undone; what is not in its alphabet is skipped, and what is cut short is decoded as far as it goes."""
    kept, _, _ = data.translate(None, _NOT_BASE64).partition(b"=")
    if len(kept) % 4 == 1:
        kept = kept[:-1]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def quoted_printable(data: bytes) -> bytes:
    """Quoted-printable undone; a malformed `=` stands for itself."""
    return binascii.a2b_qp(data)


def q_word(data: bytes) -> bytes:
    """RFC 2047 §4.2: as quoted-printable, with `_` for a space."""
    return binascii.a2b_qp(data, header=True)
