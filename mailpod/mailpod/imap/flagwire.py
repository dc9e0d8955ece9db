"""FETCH responses that need no page: FLAGS, UID and MODSEQ, from the mailbox's arrays.

Invariants: nothing is done a message at a time in Python: columns of strings are interleaved and joined once
(TARGETS.md: 4,000,000 a second). Flags are ASCII atoms, so the text is built as str, which formats integers faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def flag_lines(
    sequence: Sequence[int],
    uids: Sequence[int] | None,
    flags: Iterable[int],
    table: Sequence[bytes],
    modseqs: Iterable[int] | None = None,
    name: str = "FETCH",
) -> bytes:
    """`* n FETCH (UID u FLAGS (…) MODSEQ (m))` a message, without UID or MODSEQ where those are None. `flags` index
    `table`, which holds the flags' wire form without parentheses. `name` is that of the response."""
    if not sequence:
        return b""
    after = ")\r\n* " if modseqs is None else " MODSEQ ("
    ends = [f" FLAGS ({wire.decode('ascii')}){after}" for wire in table]
    if uids is None:
        ends = [f" {name} ({end[1:]}" for end in ends]
    columns: list[Iterable[str]] = [] if uids is None else [[f" {name} (UID "] * len(sequence), map(str, uids)]
    columns.append(map(ends.__getitem__, flags))
    if modseqs is not None:
        columns += (map(str, modseqs), ["))\r\n* "] * len(sequence))
    return _lines(sequence, columns)


def number_lines(
    sequence: Sequence[int], uids: Iterable[int] | None, modseqs: Iterable[int] | None, name: str = "FETCH"
) -> bytes:
    """`* n FETCH (UID u MODSEQ (m))` a message, without what is None: not both."""
    if not sequence:
        return b""
    count = len(sequence)
    columns: list[Iterable[str]] = []
    if uids is not None:
        columns += ([f" {name} (UID "] * count, map(str, uids))
    if modseqs is not None:
        columns += ([f" {name} (MODSEQ (" if uids is None else " MODSEQ ("] * count, map(str, modseqs))
    columns.append([")\r\n* " if modseqs is None else "))\r\n* "] * count)
    return _lines(sequence, columns)


def _lines(sequence: Sequence[int], columns: Sequence[Iterable[str]]) -> bytes:
    """Each line ends with the next one's `* `: the first lacks it and the last has one too many."""
    width = len(columns) + 1
    out = [""] * (width * len(sequence))
    out[0::width] = map(str, sequence)
    for at, column in enumerate(columns, 1):
        out[at::width] = column
    out[-1] = out[-1][:-2]
    return f"* {''.join(out)}".encode("ascii")


def with_recent(table: Sequence[bytes]) -> list[bytes]:
    """The same flags and \\Recent."""
    return [_with_recent(wire) for wire in table]


def _with_recent(wire: bytes) -> bytes:
    if b"\\Seen" in wire:
        return wire.replace(b"\\Seen", b"\\Recent \\Seen")  # in the order of the alphabet, as the others
    return b"%b \\Recent" % wire if wire else b"\\Recent"
