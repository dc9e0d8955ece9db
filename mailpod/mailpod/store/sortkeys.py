"""What SORT and THREAD compare, kept beside search postings: no page is read and no header taken apart for it. No I/O.

Invariants: a row is what mime/keys.py says of the message; where that cannot be written, a segment has none. A column
is taken apart and kept by itself, for most readers ask for one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from ..mime.envelopes import heads
from ..mime.keys import Ids, Subject, ids_of, mailbox_key, sent, subject_key
from .page import BadPage, Page

ColumnName: TypeAlias = Literal["sent", "bases", "subjects", "ids", "senders"]
"""`subjects` are base subjects and whether they are a reply's; `bases` are those alone."""


class Keys(NamedTuple):
    """Of one message."""

    sent: int
    subject: Subject
    ids: Ids
    sender: str


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """Of the rows of a segment: Unix seconds, base subjects, message ids, and local parts of From."""

    sent: msgspec.Raw
    subjects: msgspec.Raw
    ids: msgspec.Raw
    senders: msgspec.Raw


class Column(NamedTuple):
    """Of a segment's rows, and about the bytes that it takes in memory: readers ask for one or two of them."""

    values: Sequence[Any]
    weight: int


def keys_of(page: Page, row: int) -> Keys:
    fields, envelope = page.fields[row], page.envelopes[row]
    sender = mailbox_key(heads(envelope).sender)
    return Keys(sent(fields, page.dates[row]), subject_key(envelope), ids_of(fields), sender)


def pack_keys(rows: Sequence[Keys]) -> bytes:
    """b"" where a subject or sender has surrogates, which msgpack does not take."""
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    try:
        return _PACK.encode(list(columns))
    except UnicodeEncodeError:
        return b""


def unpack_column(packed: bytes, name: ColumnName, count: int) -> Column:
    """One column of what `pack_keys` made of `count` messages. Raises BadPage."""
    try:
        column = _COLUMNS[name](_KEYS.decode(packed))
    except (msgspec.DecodeError, OverflowError) as error:
        raise BadPage(str(error)) from error
    if len(column.values) != count:
        raise BadPage("sort keys of other messages")
    return column


def join_keys(one: tuple[bytes, int], two: tuple[bytes, int]) -> bytes:
    """Of two segments, each with its count of rows; b"" where one has none."""
    if not one[0] or not two[0]:
        return b""
    names: Sequence[ColumnName] = ("sent", "subjects", "ids", "senders")
    halves = [[unpack_column(packed, name, count).values for packed, count in (one, two)] for name in names]
    return _PACK.encode([[*first, *second] for first, second in halves])


def _sent(packed: _Packed) -> Column:
    values = array("q", _NUMBERS.decode(packed.sent))
    return Column(values, 8 * len(values))


def _subjects(packed: _Packed) -> Column:
    values = _SUBJECTS.decode(packed.subjects)
    return Column(values, 120 * len(values) + len(bytes(packed.subjects)))


def _bases(packed: _Packed) -> Column:
    return _texts([subject.base for subject in _SUBJECTS.decode(packed.subjects)])


def _ids(packed: _Packed) -> Column:
    values = _IDS.decode(packed.ids)
    return Column(values, 200 * len(values) + 2 * len(bytes(packed.ids)))


def _senders(packed: _Packed) -> Column:
    return _texts(_TEXTS.decode(packed.senders))


def _texts(values: list[str]) -> Column:
    """Those that recur are one object: they take less room so, and are compared sooner."""
    distinct = {text: text for text in values}
    return Column([distinct[text] for text in values], 8 * len(values) + sum(60 + len(text) for text in distinct))


_PACK: Final = msgspec.msgpack.Encoder()
_KEYS: Final = msgspec.msgpack.Decoder(_Packed)
_NUMBERS: Final = msgspec.msgpack.Decoder(list[int])
_SUBJECTS: Final = msgspec.msgpack.Decoder(list[Subject])
_IDS: Final = msgspec.msgpack.Decoder(list[Ids])
_TEXTS: Final = msgspec.msgpack.Decoder(list[str])
_COLUMNS: Final[dict[ColumnName, Callable[[_Packed], Column]]] = {
    "sent": _sent,
    "bases": _bases,
    "subjects": _subjects,
    "ids": _ids,
    "senders": _senders,
}
