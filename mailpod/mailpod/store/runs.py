"""Messages that lie together, read together: which ranges of which objects to ask for."""

from __future__ import annotations

from collections.abc import Sequence

from .location import Location


def runs(places: Sequence[Location], span: int, gap: int) -> list[list[Location]]:
    """`places` in their order, cut into runs that one ranged GET brings.

    A run lies in one object and ascends; between two of its messages are at most `gap` octets, and it spans at most
    `span`, unless it is one message.
    """
    out: list[list[Location]] = []
    start = end = 0
    for at in places:
        stop = at.offset + at.length
        if out and out[-1][0].key == at.key and end <= at.offset <= end + gap and stop - start <= span:
            out[-1].append(at)
        else:
            out.append([at])
            start = at.offset
        end = stop
    return out
