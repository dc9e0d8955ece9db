"""Runs of messages that were checked before: to see that they are still the same takes a fifth of checking each again.

Invariant: a run is known only for these very octets, places and checksums: a tag of them all is remembered, made with
AES-GCM and a key that never leaves the process. Whatever changed since, on disk or in the index, is checked again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .location import Location

_TAG: Final = 16
_NONCE: Final = bytes(12)  # may repeat: neither ciphertexts nor tags are shown to anybody
_KEPT: Final = 4096  # runs, some 200 octets each


class KnownRuns:
    """Of one pod."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(128))
        self._tags: OrderedDict[tuple[str, int], bytes] = OrderedDict()  # by object, and offset of the first message

    def tag(self, run: Sequence[Location], data: memoryview) -> bytes:
        """Of a run that was read just now."""
        places = b"".join([b"%b%d,%d;" % (at.checksum, at.offset, at.length) for at in run])
        return self._cipher.encrypt(_NONCE, places, data)[-_TAG:]

    def holds(self, key: str, run: Sequence[Location], tag: bytes) -> bool:
        """Is it what was found sound?"""
        return self._tags.get((key, run[0].offset)) == tag

    def add(self, key: str, run: Sequence[Location], tag: bytes) -> None:
        """Each of its messages was found sound."""
        self._tags.pop((key, run[0].offset), None)
        self._tags[key, run[0].offset] = tag
        if len(self._tags) > _KEPT:
            self._tags.popitem(last=False)
