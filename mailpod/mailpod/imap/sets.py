"""Sets of numbers as ranges, and on the wire (RFC 3501 §9 sequence-set). No I/O.

Invariants: a list of ranges is ascending and disjoint, each with a step of 1 and not empty. Cost is linear in the
ranges, or in the numbers that are given one by one, never in what ranges span.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def merge(parts: Sequence[range]) -> list[range]:
    """Ascending, disjoint and without empty ones; what touches becomes one."""
    out: list[range] = []
    for part in sorted(filter(len, parts), key=lambda part: part.start):
        if out and part.start <= out[-1].stop:
            out[-1] = range(out[-1].start, max(out[-1].stop, part.stop))
        else:
            out.append(part)
    return out


def runs(positions: Sequence[int]) -> list[range]:
    """Ascending positions as ranges without gaps."""
    out: list[range] = []
    start = 0
    for at in range(1, len(positions) + 1):
        if at == len(positions) or positions[at] != positions[at - 1] + 1:
            out.append(range(positions[start], positions[at - 1] + 1))
            start = at
    return out


def within(parts: Sequence[range], others: Sequence[range]) -> list[range]:
    """What is in both."""
    out: list[range] = []
    one = two = 0
    while one < len(parts) and two < len(others):
        part, other = parts[one], others[two]
        both = range(max(part.start, other.start), min(part.stop, other.stop))
        if both:
            out.append(both)
        one, two = (one + 1, two) if part.stop < other.stop else (one, two + 1)
    return out


def gaps(numbers: Sequence[int], part: range) -> list[range]:
    """What `part` has and `numbers` (ascending) has not: O(gaps log n), as most mailboxes have few."""
    low, high = bisect_left(numbers, part.start), bisect_left(numbers, part.stop)
    out: list[range] = []
    todo = [(low, high, part)]
    while todo:
        low, high, part = todo.pop()
        if high - low == len(part):
            continue
        if low == high:
            out.append(part)
            continue
        middle = (low + high) // 2
        number = numbers[middle]
        todo.append((middle + 1, high, range(number + 1, part.stop)))
        todo.append((low, middle, range(part.start, number)))
    return merge(out)


def ranges_wire(parts: Sequence[range]) -> bytes:
    """A set of these ranges."""
    return b",".join(_run(part.start, part.stop - 1) for part in parts)


def wire(numbers: Sequence[int]) -> bytes:
    """A sequence set that names these numbers in this order (COPYUID, RFC 4315 §3): ascending runs become n:m."""
    if not numbers:
        return b""
    if list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return _run(numbers[0], numbers[-1])
    out = []
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            out.append(_run(first, last))
            first = number
        last = number
    out.append(_run(first, last))
    return b",".join(out)


def _run(first: int, last: int) -> bytes:
    return b"%d" % first if first == last else b"%d:%d" % (first, last)


def last(parts: Sequence[range], most: int) -> list[range]:
    """The highest `most` numbers of `parts`."""
    out: list[range] = []
    for part in reversed(parts):
        if most <= 0:
            break
        out.append(part[-most:])
        most -= len(part)
    return out[::-1]


def without(parts: Sequence[range], positions: Sequence[int]) -> list[range]:
    """`parts` without these positions (ascending)."""
    out: list[range] = []
    for part in parts:
        start = part.start
        for at in positions[bisect_left(positions, start) : bisect_left(positions, part.stop)]:
            if start < at:
                out.append(range(start, at))
            start = at + 1
        if start < part.stop:
            out.append(range(start, part.stop))
    return out
