"""Blocks: messages that were written together, and a check of all their octets that takes a tenth of theirs each.

Invariant: a check that fits says that octets, lengths and checksums are those that were written; the checksums are what
the index has, so the messages are. One that does not fit, or is not there, says nothing: each message is checked.
"""

from __future__ import annotations

import re
import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .little import little
from .location import Location
from .objects import Buffer

LINE_BYTES: Final = 64 << 10
"""Blocks are looked for in so many octets at an object's beginning."""
_BLOCK: Final = 256 << 10
_KEPT: Final = 1 << 20  # octets that a thread keeps for the next block
_MESSAGES: Final = 48  # in a block: who asks for a page of 500 has not all of the first and last one
_BLOCKS: Final = 700  # about, or twice as many: what is listed fits into LINE_BYTES
_TAG: Final = 16
_CIPHER: Final = AESGCM(bytes(16))  # against decay, not against who can write to the bucket: the index is there too
_NONCE: Final = bytes(12)
_FIELD: Final = b'"blocks":['
_FIELD_WITHIN: Final = 1024  # octets of an object, whose other fields before it are short
_FIELDS: Final = re.compile(rb'"blocks":\[([0-9]+(?:,[0-9]+)*)\],"checks":"((?:[0-9a-f]{32})+)"')


class _Scratch(threading.local):
    """Where the cipher's text of a block goes, of which only the tag is wanted."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def room(self, octets: int) -> memoryview:
        """New memory for each block would cost many times what the cipher does."""
        if len(self._memory) < octets:
            self._memory = bytearray(octets)
        return memoryview(self._memory)[:octets]


_SCRATCH: Final = _Scratch()


class Blocks(NamedTuple):
    """Of one object: where each begins, and last where the last one ends; and their checks, back to back."""

    bounds: array[int]
    checks: bytes

    def at(self, offset: int) -> tuple[int, bytes] | None:
        """The end and the check of the block that begins at `offset`."""
        number = bisect_right(self.bounds, offset) - 1
        if not 0 <= number < len(self.bounds) - 1 or self.bounds[number] != offset:
            return None
        return self.bounds[number + 1], self.checks[_TAG * number : _TAG * (number + 1)]


class Listed(msgspec.Struct, frozen=True):
    """As a commit's line, and a pack's, has them: octets a block, and the checks in hex."""

    blocks: list[int]
    checks: str


class _PackLine(msgspec.Struct, frozen=True):
    v: int
    blocks: list[int]
    checks: str


def check(checksums: Iterable[bytes], lengths: Sequence[int], data: Buffer) -> bytes:
    """Of messages with these checksums and lengths that lie back to back as `data`."""
    beside = b"".join(checksums) + little(array("I", lengths))
    if len(data) > _KEPT:
        return _CIPHER.encrypt(_NONCE, data, beside)[-_TAG:]
    text = _SCRATCH.room(len(data) + _TAG)
    _CIPHER.encrypt_into(_NONCE, data, beside, text)
    return bytes(text[-_TAG:])


def most_blocks(lengths: Sequence[int]) -> int:
    """No more blocks than so are `listed` of messages of these lengths: two that follow are together over the size."""
    return min(2 * sum(lengths) // _BLOCK + len(lengths) // _MESSAGES, 4 * _BLOCKS) + 2


def listed(checksums: Sequence[bytes], bodies: Sequence[Buffer]) -> Listed | None:
    """The blocks of messages that are written back to back; None where it is not worth it."""
    if len(bodies) < 2:
        return None
    lengths = [*map(len, bodies)]
    size, most = max(_BLOCK, sum(lengths) // _BLOCKS), max(_MESSAGES, len(bodies) // _BLOCKS)
    octets: list[int] = []
    checks: list[bytes] = []
    first = 0
    while first < len(bodies):
        end, length = first + 1, lengths[first]
        while end < min(len(bodies), first + most) and length + lengths[end] <= size:
            length += lengths[end]
            end += 1
        data = b"".join(bodies[first:end]) if end > first + 1 else bodies[first]
        octets.append(length)
        checks.append(check(checksums[first:end], lengths[first:end], data))
        first = end
    return Listed(octets, b"".join(checks).hex())


def pack_line(checksums: Sequence[bytes], bodies: Sequence[Buffer]) -> bytes:
    """What a pack begins with; nothing where that is not worth it."""
    found = listed(checksums, bodies)
    if found is None:
        return b""
    line = msgspec.json.encode(_PackLine(1, found.blocks, found.checks)) + b"\n"
    return line if len(line) <= LINE_BYTES else b""


def find_blocks(head: bytes, size: int) -> Blocks | None:
    """The blocks of an object of `size` octets that begins with `head`: they are its end."""
    at = head.find(_FIELD, 0, _FIELD_WITHIN)
    fields = _FIELDS.match(head, at) if at >= 0 else None
    if fields is None:
        return None
    octets, checks = list(map(int, fields[1].split(b","))), bytes.fromhex(fields[2].decode("ascii"))
    if len(checks) != _TAG * len(octets) or sum(octets) > size:
        return None
    bounds = array("Q", [size - sum(octets)])
    for each in octets:
        bounds.append(bounds[-1] + each)
    return Blocks(bounds, checks)


class Part(NamedTuple):
    """Messages that are checked together: with the block's check, where they are all of it."""

    places: list[Location]
    check: bytes


def parts(run: list[Location], blocks: Blocks | None, most: int) -> list[Part]:
    """A run cut into whole blocks and what is between them; each of at most `most` octets, or one message."""
    out: list[Part] = []
    rest: list[Location] = []
    at = 0
    while at < len(run):
        whole = _whole(run, at, blocks, most) if blocks is not None else None
        if whole is None:
            if rest and run[at].offset + run[at].length - rest[0].offset > most:
                out.append(Part(rest, b""))
                rest = []
            rest.append(run[at])
            at += 1
            continue
        if rest:
            out.append(Part(rest, b""))
            rest = []
        end, found = whole
        out.append(Part(run[at:end], found))
        at = end
    if rest:
        out.append(Part(rest, b""))
    return out


def _whole(run: list[Location], first: int, blocks: Blocks, most: int) -> tuple[int, bytes] | None:
    """Where the block that begins with a message of the run ends in it, if the run has all of it; and its check."""
    block = blocks.at(run[first].offset)
    if block is None:
        return None
    stop, end, at = block[0], run[first].offset, first
    while end < stop and at < len(run):
        place = run[at]
        if place.offset != end:
            return None
        end += place.length
        at += 1
    if end != stop or (at > first + 1 and end - run[first].offset > most):
        return None
    return at, block[1]
