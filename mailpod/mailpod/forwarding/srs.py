"""The Sender Rewriting Scheme: a reverse-path of ours in which the sender's own address is. Pure.

    SRS0=<hash>=<day>=<domain>=<local part>@<us>             of a sender
    SRS1=<hash>=<first forwarder>=<rest of its SRS0>@<us>    of what another forwarder rewrote, who knows the way on
    SRS0=<hash>=<day>==@<us>                                 nothing goes back: the sender may be forged, or is too long

- A local part may come back in capitals or without them: hash and day have neither, and the hash is of small letters.
- A local part has at most 64 octets (RFC 5321 §4.5.3.1.1), since there are servers that insist on it.
- Nobody but us makes one that is accepted, and each ends on its day: it is a way for notices, not a relay. SRS1 has no
  day, as the first forwarder's rest has one.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from typing import Final

from mailpod.addresses import MAX_ADDRESS, MAX_LOCAL_PART, normalize_domain

_DAY: Final = 86_400
_DAYS: Final = 1024  # two letters of base 32; then they begin again
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_HASH: Final = 5  # octets, eight letters
_ATOM: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_REWRITTEN: Final = re.compile(r"srs([01])[=+-](.+)", re.IGNORECASE | re.DOTALL)


class NoReturn(ValueError):
    """Why nothing goes back to an address; `kind` is a word for it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def is_rewritten(local: str) -> bool:
    """Whether a local part looks as if someone rewrote it."""
    return _REWRITTEN.fullmatch(local) is not None


def rewritten(sender: str, forwarder: str, key: bytes, now: float) -> str:
    """The reverse-path for `sender`, by the domain `forwarder`; "" as sender: one that nothing goes back to."""
    day = _day(now)
    for local in _locals(sender, key, day):
        if len(local) <= MAX_LOCAL_PART and len(f"{local}@{forwarder}") <= MAX_ADDRESS:
            return f"{local}@{forwarder}"
    return f"SRS0={_hash(key, f'0={day}==')}={day}==@{forwarder}"


def original(local: str, keys: Sequence[bytes], now: float, days: float) -> str:
    """Where a notice for a local part that `is_rewritten` goes. `keys` are those of its time. Raises NoReturn."""
    match = _REWRITTEN.fullmatch(local)
    hashed, equals, rest = match[2].partition("=") if match else ("", "", "")
    if match is None or not equals or not any(_matches(key, f"{match[1]}={rest}", hashed) for key in keys):
        raise NoReturn("forged")
    if match[1] == "1":
        first, _, opaque = rest.partition("=")
        return f"SRS0{opaque}@{first}"
    day, _, address = rest.partition("=")
    domain, _, written = address.partition("=")
    if (_number(_day(now)) - _number(day)) % _DAYS > days:
        raise NoReturn("expired")
    if not written:
        raise NoReturn("closed")
    return f"{written}@{domain}"


def _locals(sender: str, key: bytes, day: str) -> list[str]:
    """The local part, where the sender has one that can stand in it."""
    local, _, written = sender.rpartition("@")
    try:
        domain = normalize_domain(written)
    except ValueError:
        return []
    if not _ATOM.fullmatch(local):  # quoted, or not ASCII
        return []
    match = _REWRITTEN.fullmatch(local)
    if match is None:
        rest = f"{day}={domain}={local}"
        return [f"SRS0={_hash(key, f'0={rest}')}={rest}"]
    rest = f"{domain}={local[4:]}" if match[1] == "0" else match[2].partition("=")[2]
    return [f"SRS1={_hash(key, f'1={rest}')}={rest}"] if rest else []


def _matches(key: bytes, text: str, hashed: str) -> bool:
    return hmac.compare_digest(_hash(key, text).encode(), hashed.lower().encode())


def _hash(key: bytes, text: str) -> str:
    return base64.b32encode(hmac.digest(key, text.lower().encode(), "sha256")[:_HASH]).decode().lower()


def _day(now: float) -> str:
    high, low = divmod(int(now // _DAY) % _DAYS, 32)
    return _ALPHABET[high] + _ALPHABET[low]


def _number(day: str) -> int:
    """Of a day whose hash is right."""
    number = 0
    for letter in day.lower():
        number = number * 32 + _ALPHABET.index(letter)
    return number
