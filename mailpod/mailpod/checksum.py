"""The checksum that FORMAT.md means wherever it says so."""

from __future__ import annotations

import hashlib
from typing import Final

CHECKSUM_BYTES: Final = 16


def checksum(data: bytes | bytearray | memoryview) -> bytes:
    """The first 16 bytes of SHA-256."""
    return hashlib.sha256(data).digest()[:CHECKSUM_BYTES]
