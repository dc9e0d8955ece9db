"""What a search found, as RETURN asks for it: RFC 4731, RFC 5182, RFC 9394. No I/O.

Invariant: `positions` are of a view, in the order of the result: ascending, or sorted; MIN is the first, MAX the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.imap import wire
from mailpod.imap.sets import wire as set_wire

if TYPE_CHECKING:
    from mailpod.imap.search import Search
    from mailpod.imap.syntax_search import Return, SearchArgs
    from mailpod.imap.view import View


def numbers_of(view: View, uid: bool, positions: Sequence[int]) -> Sequence[int]:
    """The messages as the client names them."""
    if isinstance(positions, range) and positions.step == 1:
        if uid:
            return view.uids[positions.start : positions.stop].tolist()
        return range(positions.start + 1, positions.stop + 1)
    return list(map(view.uids.__getitem__, positions)) if uid else [at + 1 for at in positions]


def esearch(search: Search, start: bytes, args: SearchArgs, wanted: Return, positions: Sequence[int]) -> bytes:
    """`* ESEARCH (TAG "a") …`, of which `start` is the `head`; b"" where only SAVE was asked for (RFC 5182 §2.1)."""
    if wanted.options == {"SAVE"} and wanted.partial is None and not wanted.update:
        return b""
    view = search.view
    numbers = numbers_of(view, args.uid, positions)
    words = [start]
    if numbers:  # RFC 4731 §3.1: nothing found is no MIN, MAX and ALL
        words += [b"MIN %d" % numbers[0]] if "MIN" in wanted.options else []
        words += [b"MAX %d" % numbers[-1]] if "MAX" in wanted.options else []
        words += [b"ALL %b" % set_wire(numbers)] if "ALL" in wanted.options else []
    if "COUNT" in wanted.options:
        words.append(b"COUNT %d" % len(numbers))
    if wanted.partial is not None:
        some = set_wire(slice_of(numbers, wanted.partial))
        words.append(b"PARTIAL (%d:%d %b)" % (*wanted.partial, some or b"NIL"))
    if "RELEVANCY" in wanted.options:  # RFC 6203 §4, and §6 with PARTIAL: of what is told, in its order
        ranked = slice_of(positions, wanted.partial) if wanted.partial is not None else positions
        words.append(b"RELEVANCY (%b)" % b" ".join(b"%d" % search.relevancy(at) for at in ranked))
    told = kept(positions, wanted)
    if args.modseq and told:
        words.append(b"MODSEQ %d" % highest(view, told))  # RFC 7162 §3.1.10: of the messages that are told
    return b" ".join(words) + b"\r\n"


def head(tag: bytes, uid: bool, where: bytes = b"") -> bytes:
    """How each response to one search begins; `where` are more correlators (RFC 7377 §2.1)."""
    return b"* ESEARCH (TAG %b%b)%b" % (wire.string(tag), where, b" UID" if uid else b"")


def kept(positions: Sequence[int], wanted: Return) -> Sequence[int]:
    """What SAVE remembers: RFC 5182 §2.4, RFC 9394 §3.2. Only MIN, MAX and PARTIAL name less than everything."""
    less = wanted.options & {"MIN", "MAX"}
    if wanted.options & {"ALL", "COUNT"} or not (less or wanted.partial):
        return positions
    some = set(slice_of(positions, wanted.partial)) if wanted.partial else set[int]()
    if positions:
        some |= {positions[0]} if "MIN" in less else set()
        some |= {positions[-1]} if "MAX" in less else set()
    return sorted(some)


def slice_of(numbers: Sequence[int], places: tuple[int, int]) -> Sequence[int]:
    """RFC 9394 §3.1: places from 1 on count from the start, from -1 down from the end."""
    low, high = sorted(map(abs, places))
    if places[0] > 0:
        return numbers[low - 1 : high]
    end = len(numbers)
    return numbers[max(end - high, 0) : max(end - low + 1, 0)]


def highest(view: View, positions: Sequence[int]) -> int:
    """RFC 7162 §3.1.5: the highest modseq of the messages found, of which there are some."""
    column = view.modseq_column(range(view.exists))
    return max(map(column.__getitem__, positions))
