"""Neighbours that are worked on together. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches(weights: Sequence[int], most: int) -> Iterator[slice]:
    """Of things with these weights: all, in order, so many at once that they weigh `most` together, or one."""
    start = total = 0
    for at, weight in enumerate(weights):
        if at > start and total + weight > most:
            yield slice(start, at)
            start, total = at, 0
        total += weight
    if start < len(weights):
        yield slice(start, len(weights))
