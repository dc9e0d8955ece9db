"""Encoding of what the server says: strings, mailbox names, flags (RFC 3501 §4 and §9).

Invariant: whatever the input, the output is one syntactically valid item; no value can inject a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from mailpod.imap import utf7

_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_NOT_QUOTABLE: Final = re.compile(rb"[\x00\r\n\x80-\xff]")
_CONTROL: Final = re.compile(r"[\x00\r\n\ud800-\udfff]")
_NUMBERS: Final = msgspec.json.Encoder().encode  # `[2,3]`
_LAST: Final = [b"%03d" % last for last in range(1000)]  # digits of a number
_SPACES: Final = bytes.maketrans(b"[,", b"  ")
_NOT_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\U0010ffff]")


def is_atom(value: bytes) -> bool:
    return _ATOM.fullmatch(value) is not None


def string(value: bytes) -> bytes:
    """Quoted where RFC 3501 §9 (TEXT-CHAR) allows it, else a literal. NUL, which neither may hold, is dropped."""
    if _NOT_QUOTABLE.search(value):
        value = value.replace(b"\0", b"")
        return b"{%d}\r\n%b" % (len(value), value)
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def nstring(value: bytes | None) -> bytes:
    return b"NIL" if value is None else string(value)


def astring(value: bytes) -> bytes:
    """The bare word where it can stand so. NIL is quoted: clients read the bare word as nothing."""
    if _ASTRING.fullmatch(value) and value.upper() != b"NIL":
        return value
    return string(value)


def mailbox(name: str, utf8: bool = False) -> bytes:
    """A mailbox name in modified UTF-7, or in UTF-8 for who enabled it (RFC 9051 §9 quoted, RFC 9755 §3)."""
    if not utf8 or name.isascii():
        return astring(name.encode("ascii") if utf8 else utf7.encode(name))
    return b'"%b"' % _CONTROL.sub("", name).encode("utf-8").replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def parenthesized(items: Iterable[bytes]) -> bytes:
    """`(a b c)`, as flag lists and attribute lists are."""
    return b"(%b)" % b" ".join(items)


def numbers(values: Sequence[int]) -> bytes:
    """` 2 3`, as `* SEARCH` has them: of a hundred thousand in a millisecond."""
    if isinstance(values, range) and values.step == 1:
        return b"".join(_run(values.start, values.stop))
    return _listed(values if isinstance(values, list) else list(values))


def _listed(values: list[int]) -> bytes:
    return _NUMBERS(values).translate(_SPACES, b"]") if values else b""


def _run(start: int, stop: int) -> Iterator[bytes]:
    """A thousand numbers that differ in their last digits only are made at once."""
    while start < stop:
        thousand, first = divmod(start, 1000)
        end = min(stop, start - first + 1000)
        if thousand and end - start == 1000:
            before = b" %d" % thousand
            yield before + before.join(_LAST)
        else:
            yield _listed(list(range(start, end)))
        start = end


def text(value: str) -> bytes:
    """Human-readable resp-text: one line of ASCII, what is not becomes `?`."""
    return _NOT_TEXT.sub("?", value).encode("ascii") or b"?"
