"""Hints between pods as datagrams: "account so-and-so has reached commit n". No I/O.

    MH1 | key's id, 4 | sender, 8 | hints | HMAC-SHA256 of all before it, cut to 16
    a hint: length of the account's prefix, 2 | commit, 8 | prefix, UTF-8; numbers are big-endian

- A hint is never believed: whoever gets one looks at the bucket. Lost, late, repeated and reordered ones do no harm,
  and a copied one asks for nothing that was not asked for before.
- What cannot be verified is nothing: no hint of it is read.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

MAX_BYTES: Final = 1200
"""Of a datagram: below every path's MTU, so that none is sent in fragments."""
MAX_PREFIX: Final = 1000
KEY_BYTES: Final = 32
SENDER_BYTES: Final = 8
_MAGIC: Final = b"MH1"
_TAG: Final = 16
_ID: Final = 4
_HEAD: Final = struct.Struct(f"!3s{_ID}s{SENDER_BYTES}s")
_ITEM: Final = struct.Struct("!HQ")


class Hint(NamedTuple):
    """An account, by the prefix of its objects, and a commit that is durable there."""

    prefix: str
    head: int


class Datagram(NamedTuple):
    """What a pod sent. Without hints it only says that the pod is there."""

    sender: bytes
    hints: tuple[Hint, ...]


class BadDatagram(ValueError):
    """Not one of ours, not for our keys, or damaged."""


def encode(sender: bytes, hints: Iterable[Hint], key: bytes) -> list[bytes]:
    """The datagrams that carry all `hints`, at least one; an account whose prefix is past MAX_PREFIX is left out."""
    head = _HEAD.pack(_MAGIC, _key_id(key), sender)
    room = MAX_BYTES - len(head) - _TAG
    bodies, body = [], bytearray()
    for hint in hints:
        name = hint.prefix.encode()
        if len(name) > MAX_PREFIX:
            continue
        if len(body) + _ITEM.size + len(name) > room:
            bodies.append(bytes(body))
            body.clear()
        body += _ITEM.pack(len(name), hint.head) + name
    bodies.append(bytes(body))
    return [head + each + _tag(head + each, key) for each in bodies]


def decode(data: bytes, keys: Sequence[bytes]) -> Datagram:
    """Raises BadDatagram."""
    if len(data) < _HEAD.size + _TAG or len(data) > MAX_BYTES or not data.startswith(_MAGIC):
        raise BadDatagram("not a hint")
    _, key_id, sender = _HEAD.unpack_from(data)
    signed, tag = data[:-_TAG], data[-_TAG:]
    fitting = [key for key in keys if _key_id(key) == key_id]
    if not any(hmac.compare_digest(_tag(signed, key), tag) for key in fitting):
        raise BadDatagram("not signed by a key of ours")
    return Datagram(sender, tuple(_hints(signed[_HEAD.size :])))


def _hints(body: bytes) -> Iterable[Hint]:
    at = 0
    while at < len(body):
        try:
            length, head = _ITEM.unpack_from(body, at)
            name = body[at + _ITEM.size : at + _ITEM.size + length]
            at += _ITEM.size + length
            if len(name) != length:
                raise BadDatagram("cut short")
            yield Hint(name.decode(), head)
        except (struct.error, UnicodeDecodeError) as error:
            raise BadDatagram(str(error)) from None


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"mailpod hint key " + key).digest()[:_ID]


def _tag(signed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")[:_TAG]


def parse_keys(text: str) -> list[tuple[float, bytes]]:
    """A key file: a line a key, `<epoch seconds when it was made> <64 hex digits>`. Raises ValueError."""
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        made, key = line.split()
        raw = bytes.fromhex(key)
        if len(raw) != KEY_BYTES:
            raise ValueError("a key is 32 bytes, in 64 hex digits")
        found.append((float(made), raw))
    return sorted(found)


def format_keys(keys: Iterable[tuple[float, bytes]]) -> str:
    """What `parse_keys` takes; the times in whole seconds."""
    return "".join(f"{made:.0f} {key.hex()}\n" for made, key in sorted(keys))
