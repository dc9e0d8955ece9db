"""RFC 3461's parameters of MAIL and RCPT, by which a sender says what to be told of: no I/O.

Values are kept as they were given, for the next server. Never anything but SyntaxProblem for a bad one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailpod.smtp.syntax import SyntaxProblem
from mailpod.store.outbound import RecipientOptions
from mailpod.xtext import xtext_decoded, xtext_encoded

_MAX_ENVID: Final = 100  # RFC 3461 §4.4
_MAX_ORCPT: Final = 500  # RFC 3461 §4.2
_ADDRESS_TYPE: Final = re.compile(r"[A-Za-z0-9-]+")
# RFC 6533 §3: ORCPT of an address beyond ASCII, with its own escapes, or as UTF-8 where MAIL said SMTPUTF8
_UTF8_ADDRESS: Final = re.compile(r"(?:[!-*,-<>-\[\]-~\u0080-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})+")
_CONDITIONS: Final = ("SUCCESS", "FAILURE", "DELAY")


@dataclass(frozen=True, slots=True)
class Reporting:
    """RET and ENVID; empty where they were not given."""

    ret: str = ""
    envid: str = ""


def take_reporting(given: dict[str, str | None]) -> Reporting:
    """RET and ENVID out of MAIL's parameters, checked. Raises SyntaxProblem."""
    ret, envid = _take(given, "RET"), _take(given, "ENVID")
    if ret is not None and ret.upper() not in ("FULL", "HDRS"):  # RFC 3461 §4.3
        raise SyntaxProblem("501 5.5.4 RET is FULL or HDRS")
    if envid is not None:
        decoded = xtext_decoded(envid) if len(envid) <= _MAX_ENVID else None
        if not decoded or not decoded.isprintable():  # RFC 3461 §4.4: printable US-ASCII inside
            raise SyntaxProblem(f"501 5.5.4 ENVID is xtext of at most {_MAX_ENVID} characters")
    return Reporting((ret or "").upper(), envid or "")


def take_options(given: dict[str, str | None]) -> RecipientOptions:
    """NOTIFY and ORCPT out of RCPT's parameters, checked. Raises SyntaxProblem."""
    notify, orcpt = _take(given, "NOTIFY"), _take(given, "ORCPT")
    return RecipientOptions(() if notify is None else _notify(notify), "" if orcpt is None else _orcpt(orcpt))


def _take(given: dict[str, str | None], name: str) -> str | None:
    """None where it is not there, "" where it has no value."""
    return (given.pop(name) or "") if name in given else None


def _notify(value: str) -> tuple[str, ...]:
    """RFC 3461 §4.1: NEVER stands alone; the order of the others says nothing."""
    words = value.upper().split(",")
    if words == ["NEVER"]:
        return ("NEVER",)
    if not set(words) <= set(_CONDITIONS):
        raise SyntaxProblem("501 5.5.4 NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY")
    return tuple(word for word in _CONDITIONS if word in words)


def _orcpt(value: str) -> str:
    """RFC 3461 §4.2: a type of address, a semicolon, the address."""
    kind, semicolon, address = value.partition(";")
    if len(value) <= _MAX_ORCPT and semicolon and address and _ADDRESS_TYPE.fullmatch(kind):
        if kind.lower() == "utf-8" and _UTF8_ADDRESS.fullmatch(address):
            return value
        if xtext_decoded(address) is not None:
            return value
    raise SyntaxProblem(f"501 5.5.4 ORCPT is a type, a semicolon and xtext, at most {_MAX_ORCPT} characters")


def original_recipient(address: str) -> str:
    """ORCPT for an address that stood for another one here, so that a notice names what the sender wrote."""
    if address.isascii():
        return f"rfc822;{xtext_encoded(address)}"
    plain = (char if "!" <= char <= "~" and char not in "+=\\" else rf"\x{{{ord(char):02X}}}" for char in address)
    return "utf-8;" + "".join(plain)
