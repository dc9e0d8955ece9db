"""FETCH responses that need no page: FLAGS and UID, from the mailbox's arrays.

Invariants: nothing is done a message at a time in Python: columns of strings are interleaved and joined once
(TARGETS.md: 4,000,000 a second). Flags are ASCII atoms, so the text is built as str, which formats integers faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def flag_lines(
    sequence: Sequence[int], uids: Sequence[int] | None, flags: Iterable[int], table: Sequence[bytes]
) -> bytes:
    """`* n FETCH (UID u FLAGS (…))` a message, without UID where `uids` is None. `flags` index `table`, which holds
    the flags' wire form without parentheses."""
    if not sequence:
        return b""
    ends = [f" FLAGS ({wire.decode('ascii')}))\r\n* " for wire in table]
    if uids is None:
        ends = [f" FETCH ({end[1:]}" for end in ends]
        out = [""] * (2 * len(sequence))
    else:
        out = [" FETCH (UID "] * (4 * len(sequence))
        out[2::4] = map(str, uids)
    width = 2 if uids is None else 4
    out[0::width] = map(str, sequence)
    out[width - 1 :: width] = map(ends.__getitem__, flags)
    return _lines(out)


def uid_lines(sequence: Sequence[int], uids: Sequence[int]) -> bytes:
    """`* n FETCH (UID u)` a message."""
    if not sequence:
        return b""
    out = [" FETCH (UID "] * (4 * len(sequence))
    out[0::4] = map(str, sequence)
    out[2::4] = map(str, uids)
    out[3::4] = [")\r\n* "] * len(sequence)
    return _lines(out)


def _lines(out: list[str]) -> bytes:
    """Each line ends with the next one's `* `: the first lacks it and the last has one too many."""
    out[-1] = out[-1][:-2]
    return f"* {''.join(out)}".encode("ascii")
