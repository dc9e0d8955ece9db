"""The key by which a server's pods know each other's hints, in the Secret with the host's own certificate.

A line a key, `<epoch seconds when it was made> <64 hex digits>`, as mailpod.net.hintcode reads it. Two are valid during
a rotation: pods go on sending with the older one until every pod surely has the new one. What cannot be read is made
anew: nothing but freshness hangs on it.
"""

from __future__ import annotations

import secrets
from typing import Final

FILE: Final = "hints.keys"
_ROTATE_SECONDS: Final = 30 * 86_400.0
_VALID: Final = 2


def current(stored: bytes | None, now: float) -> bytes:
    """The file as it should be; the same bytes where nothing is due."""
    keys = _parse(stored)
    if not keys or now - keys[-1][0] >= _ROTATE_SECONDS:
        keys.append((int(now), secrets.token_hex(32)))
    return "".join(f"{made} {key}\n" for made, key in keys[-_VALID:]).encode()


def _parse(stored: bytes | None) -> list[tuple[int, str]]:
    try:
        lines = [line.split() for line in (stored or b"").decode("ascii").splitlines()]
        return sorted((int(made), key) for made, key in lines if len(bytes.fromhex(key)) == 32)
    except ValueError:
        return []
