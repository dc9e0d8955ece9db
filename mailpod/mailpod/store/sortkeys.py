"""What SORT and THREAD compare, kept beside search postings: no page is read and no header taken apart for it. No I/O.

Invariant: a row is what mime/keys.py says of the message. Where that cannot be written, a segment has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from ..mime.envelopes import heads
from ..mime.keys import Ids, Subject, ids_of, mailbox_key, sent, subject_key
from .page import BadPage, Page


class Keys(NamedTuple):
    """Of one message."""

    sent: int
    subject: Subject
    ids: Ids
    sender: str


class SortKeys(msgspec.Struct, frozen=True, array_like=True):
    """Of the rows of a segment: Unix seconds, base subjects, message ids, and local parts of From."""

    sent: list[int]
    subjects: list[Subject]
    ids: list[Ids]
    senders: list[str]


_PACK: Final = msgspec.msgpack.Encoder()
_KEYS: Final = msgspec.msgpack.Decoder(SortKeys)


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


def unpack_keys(packed: bytes, count: int) -> SortKeys:
    """Raises BadPage."""
    try:
        keys = _KEYS.decode(packed)
    except msgspec.DecodeError as error:
        raise BadPage(str(error)) from error
    if any(len(column) != count for column in (keys.sent, keys.subjects, keys.ids, keys.senders)):
        raise BadPage("sort keys of other messages")
    return keys


def join_keys(one: tuple[bytes, int], two: tuple[bytes, int]) -> bytes:
    """Of two segments, each with its count of rows; b"" where one has none."""
    if not one[0] or not two[0]:
        return b""
    first, second = unpack_keys(*one), unpack_keys(*two)
    return _PACK.encode(
        SortKeys(
            first.sent + second.sent,
            first.subjects + second.subjects,
            first.ids + second.ids,
            first.senders + second.senders,
        )
    )
