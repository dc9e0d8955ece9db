"""SPF records (RFC 7208 §4.6, §7, §12) as values: no I/O. A record is read whole before any of it is evaluated."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import quote

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME: Final = r"[A-Za-z][A-Za-z0-9\-_.]*"
_MODIFIER: Final = re.compile(rf"({_NAME})=(.*)")
_TERM: Final = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9\-_.]*)(?:(:)(.*?))?((?:/[0-9]*)?(?://[0-9]*)?)", re.DOTALL)
_LENGTH: Final = re.compile(r"(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?")
_MACRO: Final = re.compile(r"%(?:\{([slodiphcrtvSLODIPHCRTV])([0-9]*)(r?)([.\-+,/_=]*)\}|([%_-]))", re.IGNORECASE)
_LITERAL: Final = re.compile(r"[!-$&-~]*")
# §7.1 domain-end: a toplabel or a macro
_TOP_LABEL: Final = re.compile(r"\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?")
_RESULTS: Final = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_WITHOUT_ARGUMENT: Final = frozenset({"all"})
_WITH_DOMAIN: Final = frozenset({"include", "exists"})
_MAY_HAVE_DOMAIN: Final = frozenset({"a", "mx", "ptr"})


class BadRecord(ValueError):
    """A permerror (§2.6.7); the text is for people."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A directive. `domain` is a domain-spec, macros and all; "" where the current domain is meant."""

    name: str
    result: str
    domain: str = ""
    network: Network | None = None
    lengths: tuple[int, int] = (32, 128)  # of prefixes, IPv4 and IPv6


@dataclass(slots=True)
class Record:
    """A whole record."""

    mechanisms: list[Mechanism] = field(default_factory=list)
    redirect: str | None = None
    explained: bool = False


def is_record(text: bytes) -> bool:
    """§4.5: whether a TXT record is one of version 1."""
    return text[:6].lower() == b"v=spf1" and text[6:7] in (b"", b" ")


def parse_record(raw: bytes) -> Record:
    """Raises BadRecord, wherever in the record the error is (§4.6)."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise BadRecord("the record is not ASCII") from None
    record = Record()
    for term in text[6:].split(" "):
        if not term:
            continue
        if modifier := _MODIFIER.fullmatch(term):
            _add_modifier(record, modifier[1].lower(), modifier[2])
        else:
            record.mechanisms.append(_mechanism(term))
    return record


def _add_modifier(record: Record, name: str, value: str) -> None:
    if name == "redirect":
        if record.redirect is not None:  # §6
            raise BadRecord("redirect is there twice")
        record.redirect = _domain_spec(value)
    elif name == "exp":
        if record.explained:
            raise BadRecord("exp is there twice")
        record.explained = bool(_domain_spec(value))
    else:
        _check_macros(value)  # §6: what is not known is ignored, if it is written right


def _mechanism(term: str) -> Mechanism:
    match = _TERM.fullmatch(term)
    if match is None:
        raise BadRecord(f"{term!r} is no term")
    sign, name, colon, argument, length = match[1], match[2].lower(), match[3], match[4] or "", match[5]
    result = _RESULTS[sign]
    if name in ("ip4", "ip6"):
        return Mechanism(name, result, network=_network(name, argument + length))
    if name in _WITHOUT_ARGUMENT:
        if colon or length:
            raise BadRecord(f"{name} has no argument")
        return Mechanism(name, result)
    if name in _WITH_DOMAIN or (name == "ptr"):
        # a slash may stand in a macro's delimiters or a label, and there is no prefix here
        argument += length
        if (name in _WITH_DOMAIN and not colon) or (length and not colon):
            raise BadRecord(f"{name} needs a domain")
        return Mechanism(name, result, _domain_spec(argument) if colon else "")
    if name in _MAY_HAVE_DOMAIN:
        return Mechanism(name, result, _domain_spec(argument) if colon else "", lengths=_lengths(length))
    raise BadRecord(f"{name} is no mechanism")


def _network(name: str, written: str) -> Network:
    address, slash, length = written.partition("/")
    if slash and not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
        raise BadRecord(f"{written!r} has no prefix length")
    try:
        if name == "ip4":
            return ipaddress.IPv4Network((address, int(length or 32)), strict=False)
        if "%" in address:
            raise ValueError
        return ipaddress.IPv6Network((address, int(length or 128)), strict=False)
    except ValueError:
        raise BadRecord(f"{written!r} is no {name} network") from None


def _lengths(written: str) -> tuple[int, int]:
    match = _LENGTH.fullmatch(written)
    if match is None:
        raise BadRecord(f"{written!r} is no prefix length")
    four, six = int(match[1] or 32), int(match[2] or 128)
    if four > 32 or six > 128:
        raise BadRecord(f"{written!r} is no prefix length")
    return four, six


def _domain_spec(written: str) -> str:
    """§7.1: it ends with a top label or a macro."""
    _check_macros(written)
    last = max((match.end() for match in _MACRO.finditer(written) if match[1]), default=-1)
    end = written.rfind(".", 0, len(written) - 1) if written.endswith(".") else written.rfind(".")
    if not written or (last != len(written) and (end < 0 or not _TOP_LABEL.fullmatch(written, end))):
        raise BadRecord(f"{written!r} is no domain")
    return written


def _check_macros(written: str) -> None:
    at = 0
    while at < len(written):
        literal = _LITERAL.match(written, at)
        at = literal.end() if literal else at
        if at == len(written):
            return
        match = _MACRO.match(written, at)
        if match is None or (match[1] and (match[1].lower() in "crt" or match[2].strip("0") == "" != match[2])):
            raise BadRecord(f"{written!r} has a macro that is none")
        at = match.end()


@dataclass(frozen=True, slots=True)
class Query:
    """Who connects and what it says, for macros (§7.2)."""

    address: Address
    sender: str  # local part and domain, never without either
    helo: str


async def expand(spec: str, query: Query, domain: str, validated: Callable[[], Awaitable[str]]) -> str:
    """A domain-spec as a name (§7.3). `validated` gives what %{p} stands for."""
    pieces: list[str] = []
    at = 0
    for match in _MACRO.finditer(spec):
        pieces.append(spec[at : match.start()])
        at = match.end()
        if match[5]:
            pieces.append({"%": "%", "_": " ", "-": "%20"}[match[5]])
        else:
            letter = match[1].lower()
            value = await validated() if letter == "p" else _value(letter, query, domain)
            value = _transformed(value, match[2], bool(match[3]), match[4])
            pieces.append(quote(value, safe="-_.~") if match[1].isupper() else value)
    name = "".join(pieces) + spec[at:]
    while len(name) > 253 and "." in name:
        name = name.partition(".")[2]
    return name


def _value(letter: str, query: Query, domain: str) -> str:
    local, _, sender_domain = query.sender.rpartition("@")
    v6 = query.address.version == 6
    values: dict[str, str] = {
        "s": query.sender,
        "l": local,
        "o": sender_domain,
        "d": domain,
        "i": ".".join(query.address.exploded.replace(":", "")) if v6 else str(query.address),
        "v": "ip6" if v6 else "in-addr",
        "h": query.helo,
        "c": str(query.address),
        "r": "unknown",
        "t": str(int(time.time())) if letter == "t" else "",
    }
    return values[letter]


def _transformed(value: str, digits: str, reverse: bool, delimiters: str) -> str:
    parts = re.split(f"[{re.escape(delimiters or '.')}]", value)
    if reverse:
        parts.reverse()
    if digits:
        parts = parts[-int(digits) :]
    return ".".join(parts)
