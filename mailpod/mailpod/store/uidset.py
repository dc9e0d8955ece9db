"""UID sets as text: `1:5,7,9:12`, ascending, never empty ranges (RFC 3501 §9 `sequence-set` without `*`)."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice
from operator import lt


def ascending(known: array[int], uids: Sequence[int]) -> Sequence[int]:
    """Each of `uids` once, in order; what is so already, or stands so in `known`, is not copied."""
    if isinstance(uids, array) and uids:
        low = bisect_left(known, uids[0])
        if known[low : low + len(uids)] == uids:
            return uids
    if all(map(lt, uids, islice(uids, 1, None))):
        return uids
    return sorted(set(uids))


def encode_uids(uids: Sequence[int]) -> str:
    """Ascending UIDs, each once, as the shortest set."""
    if len(uids) > 1 and uids[-1] - uids[0] == len(uids) - 1:
        return f"{uids[0]}:{uids[-1]}"
    out: list[str] = []
    first = last = -2
    for uid in uids:
        if uid == last + 1:
            last = uid
            continue
        if first >= 0:
            out.append(f"{first}:{last}" if last > first else str(first))
        first = last = uid
    if first >= 0:
        out.append(f"{first}:{last}" if last > first else str(first))
    return ",".join(out)


def decode_ranges(text: str) -> list[tuple[int, int]]:
    """The set's ranges, both ends included. Raises ValueError where the text is not an ascending set."""
    ranges: list[tuple[int, int]] = []
    floor = 0
    for piece in text.split(",") if text else ():
        low, _, high = piece.partition(":")
        first = int(low)
        last = int(high) if high else first
        if not floor < first <= last:
            raise ValueError(f"not an ascending UID set: {text[:80]!r}")
        ranges.append((first, last))
        floor = last
    return ranges


def decode_uids(text: str) -> list[int]:
    return [uid for first, last in decode_ranges(text) for uid in range(first, last + 1)]
