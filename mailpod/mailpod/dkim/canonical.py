"""RFC 6376 §3.4: the form of a message that is hashed. Pure, and linear in the input whatever stands in it.

dkimpy's own takes the square of a run of blanks (1 MB of them is some hours), which anybody can send; this gives the
same bytes as dkimpy's for every message whose last line ends with CRLF (tests/mailpod/dkim/test_canonical.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


def simple_field(field: bytes) -> bytes:
    """§3.4.1: a raw field, without its last CRLF, as it stands."""
    return field + b"\r\n"


def relaxed_field(field: bytes) -> bytes:
    """§3.4.2: the name in lower case, the value on one line with single spaces. `field` is raw."""
    name, _, value = field.partition(b":")
    value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return name.rstrip(b" \t\r\n").lower() + b":" + _single_spaced(value).strip() + b"\r\n"


def simple_body(body: bytes) -> bytes:
    """§3.4.3: one CRLF at the end, which an empty body gets too."""
    return _without_last_lines(body) or b"\r\n"


def relaxed_body(body: bytes) -> bytes:
    """§3.4.4: single spaces, none at the end of a line, and no empty lines at the end; an empty body stays empty."""
    body = _single_spaced(body)
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    return _without_last_lines(body)


FIELDS: Final[dict[str, Callable[[bytes], bytes]]] = {"simple": simple_field, "relaxed": relaxed_field}
BODIES: Final[dict[str, Callable[[bytes], bytes]]] = {"simple": simple_body, "relaxed": relaxed_body}


def _single_spaced(text: bytes) -> bytes:
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    while b"  " in text:  # each turn halves every run
        text = text.replace(b"  ", b" ")
    return text


def _without_last_lines(body: bytes) -> bytes:
    """Without the empty lines at the end, and with a CRLF there unless nothing is left."""
    kept = body.rstrip(b"\r\n")
    end = body[len(kept) :]
    if end.count(b"\r\n") * 2 != len(end):  # a CR or LF alone is no line's end, and stays with what is before it
        kept += end.replace(b"\r\n", b"\0\0").rstrip(b"\0").replace(b"\0\0", b"\r\n")
    return kept + b"\r\n" if kept else b""
