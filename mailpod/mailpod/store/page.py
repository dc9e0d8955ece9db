"""Pages: immutable parts of an index, in columns (FORMAT.md, "Pages").

A page's bytes never change once its object exists, and its UIDs ascend. Columns of one page have one length.
What is found out of a message's bytes is missing in rows that are `unscanned`, until it is put there (unscanned.py).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import zstandard

from ..checksum import CHECKSUM_BYTES as _SUM
from ..checksum import checksum
from ..errors import Damaged
from .fieldlines import FieldLines, field_lines
from .little import little, unlittle
from .location import Location
from .ops import Appends, PageRef, Record
from .packed import Packed, written
from .rows import picking

if TYPE_CHECKING:
    from ..mime.scan import Scan

META, STATE, TABLE, DELIVERY = 1, 2, 3, 4  # 5 and 6: postings.py; 7-15: FORMAT.md
_T = TypeVar("_T")
_MAGIC = b"MPP1"
_LEVEL = 1
_FIELDS = attrgetter("loc", "sum", "parts", "env", "bs", "hdr", "other", "date", "zone", "saved", "size", "hs")
_TEXTS = ("envelopes", "structures", "fields", "names")
_TAKEN = (*_TEXTS, "dates", "zones", "sizes", "header_sizes", "parts", "email_ids", "_offsets", "_lengths")
"""Columns that a row takes along as they are when it goes to another page."""
GONE = 0xFFFFFFFF  # in the column of flags of an overlay: expunged


class BadPage(Exception):
    """The bytes are not the page that was referred to."""


class Page:
    """Metadata of messages, a column a field; rows are messages. Shared by readers; only a tail is appended to."""

    __slots__ = (
        "_checksums",
        "_email_ids",
        "_envelopes",
        "_fields",
        "_key_index",
        "_key_of",
        "_keys",
        "_lengths",
        "_names",
        "_offsets",
        "_parts",
        "_sealed",
        "_structures",
        "dates",
        "derived",
        "header_sizes",
        "lines",
        "saved",
        "sizes",
        "uids",
        "unscanned",
        "weight",
        "zones",
    )
    envelopes = Packed(list[bytes])
    structures = Packed(list[bytes])
    fields = Packed(list[bytes])
    names = Packed(list[bytes])
    parts = Packed(list[tuple[int, ...]])  # MIME parts of each message
    email_ids = Packed(list[bytes])

    def __init__(self) -> None:
        self.uids = array("I")
        self.dates = array("q")
        self.zones = array("h")
        self.saved = array("q")
        self.sizes = array("Q")
        self.header_sizes = array("I")
        self.envelopes, self.structures, self.fields = [], [], []
        self.names, self.parts, self.email_ids = [], [], []
        self._keys: list[str] = []
        self._key_of = array("I")
        self._key_index: dict[str, int] = {}
        self._offsets = array("Q")
        self._lengths = array("Q")
        self._checksums = bytearray()
        self.lines: FieldLines | None = None  # of `fields`
        self._sealed = b""  # the page's bytes as long as not all of them were read
        self.derived: dict[object, list[Any]] = {}  # what readers made of columns, to be used again
        self.weight = 1000  # about the bytes it takes in memory
        self.unscanned = set[int]()  # rows

    def __len__(self) -> int:
        return len(self.uids)

    def complete(self) -> None:
        """Read what `decode_meta` left for later. Raises Damaged."""
        if sealed := self._sealed:
            try:
                meta = _META.decode(_opened(sealed))
            except msgspec.DecodeError as error:
                raise Damaged from error
            self.envelopes, self.structures = meta.env.copy(), meta.bs.copy()
            self._sealed = b""  # last: another thread may be here, too

    def chosen(self, names: frozenset[bytes], rows: Sequence[int]) -> list[bytes] | None:
        """The kept fields of these names, with the empty line behind them; None where `fields` must be searched."""
        if self.lines is None or not self.lines.fits(len(self)):
            return None
        return self.lines.chosen(bytes(written(self, "fields")), names, rows)

    def location(self, row: int) -> Location:
        """Where the bytes of the message in `row` are."""
        return self.locations((row,))[0]

    def locations(self, rows: Sequence[int]) -> list[Location]:
        """The same of some rows, ascending."""
        if not rows:
            return []
        first = rows[0]
        keys, key_of, offsets, lengths, uids = self._keys, self._key_of, self._offsets, self._lengths, self.uids
        sums = bytes(self._checksums[_SUM * first : _SUM * (rows[-1] + 1)])
        return [
            Location(
                keys[key_of[row]],
                offsets[row],
                lengths[row],
                sums[_SUM * (row - first) : _SUM * (row - first + 1)],
                uids[row],
            )
            for row in rows
        ]

    def key(self, row: int) -> str:
        """The object in which the bytes of the message in `row` are."""
        return self._keys[self._key_of[row]]

    def row(self, uid: int) -> int:
        """The row of `uid`, or -1."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def extend(
        self, uids: Sequence[int], records: Sequence[Record], places: Sequence[tuple[str, int]], ids: Sequence[bytes]
    ) -> None:
        """Add messages; their UIDs ascend, above all others. `places`: keys and offsets of bytes; `ids`: EMAILIDs."""
        locs, sums, parts, env, bs, hdr, other, *rest = zip(*map(_FIELDS, records), strict=True)
        numbers = self.dates, self.zones, self.saved, self.sizes, self.header_sizes
        for into, values in zip((self.uids, *numbers), (uids, *rest), strict=True):
            into.extend(values)
        self.parts.extend(parts)
        self.email_ids.extend(ids)
        self._key_of.extend([self._key(key) for key, _ in places])
        self._offsets.extend([offset for _, offset in places])
        self._lengths.extend([length for _, _, length in locs])
        self._checksums += bytes.fromhex("".join(sums))
        self.weight += 600 * len(uids)
        for column, texts in ((self.envelopes, env), (self.structures, bs), (self.fields, hdr), (self.names, other)):
            column.extend([text.encode("latin-1") for text in texts])
            self.weight += sum(map(len, texts))

    def extend_unscanned(self, op: Appends, key: str, start: int, ids: Sequence[bytes]) -> None:
        """Add messages whose bytes begin at `start` of the object `key`, back to back; `ids`: EMAILIDs."""
        first, count = len(self.uids), len(op.sizes)
        self.uids.extend(range(op.uid, op.uid + count))
        self.dates.extend(op.dates if len(op.dates) == count else op.dates * count)
        self.zones.extend(op.zones or bytes(count))
        self.saved.extend([op.saved] * count)
        self.sizes.extend(op.sizes)
        self.header_sizes.extend(bytes(count))
        self.email_ids.extend(ids)
        self._key_of.extend([self._key(key)] * count)
        self._offsets.extend(accumulate(op.sizes[:-1], initial=start))
        self._lengths.extend(op.sizes)
        self._checksums += bytes.fromhex(op.sums)
        for column in (self.envelopes, self.structures, self.fields, self.names):
            column.extend([b""] * count)
        self.parts.extend([()] * count)
        self.unscanned.update(range(first, first + count))
        self.weight += 600 * count

    def scanned(self, row: int, found: Scan) -> None:
        """What a message's bytes say."""
        self.header_sizes[row] = found.header_size
        self.envelopes[row], self.structures[row] = found.envelope, found.bodystructure
        self.fields[row], self.names[row], self.parts[row] = found.fields, found.names, found.parts
        self.weight += len(found.envelope) + len(found.bodystructure) + len(found.fields)
        self.unscanned.discard(row)
        self.derived.clear()

    def take(self, other: Page, rows: Sequence[int], *, shift: int = 0, saved: int | None = None) -> None:
        """Add rows of another page; `shift` moves their UIDs, `saved` replaces their SAVEDATE."""
        if not rows:
            return
        if other.unscanned:
            self.unscanned.update(at for at, row in enumerate(rows, len(self)) if row in other.unscanned)
        pick = picking(rows)
        for name in _TAKEN:
            getattr(self, name).extend(pick(getattr(other, name)))
        self.uids.extend([uid + shift for uid in pick(other.uids)])
        self.saved.extend(pick(other.saved) if saved is None else [saved] * len(rows))
        keys = pick(other._key_of)
        numbers = {key: self._key(other._keys[key]) for key in dict.fromkeys(keys)}
        self._key_of.extend(map(numbers.__getitem__, keys))
        self._checksums += b"".join([other._checksums[_SUM * row : _SUM * (row + 1)] for row in rows])
        texts = (other.envelopes, other.structures, other.fields)
        self.weight += 600 * len(rows) + sum(sum(map(len, pick(column))) for column in texts)

    def move(self, row: int, key: str, offset: int) -> None:
        """Point a row at the same bytes elsewhere; only on a page of one's own."""
        self._key_of[row] = self._key(key)
        self._offsets[row] = offset

    def _key(self, key: str) -> int:
        index = self._key_index.get(key)
        if index is None:
            index = self._key_index[key] = len(self._keys)
            self._keys.append(key)
        return index

    def record(self, row: int, *, saved: int) -> Record:
        """The row as it stands in a commit that copies it inside the account."""
        at = self.location(row)
        return Record(
            date=self.dates[row],
            saved=saved,
            size=self.sizes[row],
            loc=(at.key, at.offset, at.length),
            sum=at.checksum.hex(),
            hs=self.header_sizes[row],
            env=self.envelopes[row].decode("latin-1"),
            bs=self.structures[row].decode("latin-1"),
            hdr=self.fields[row].decode("latin-1"),
            other=self.names[row].decode("latin-1"),
            parts=self.parts[row],
            eid=self.email_ids[row].decode("latin-1"),
            zone=self.zones[row],
        )

    def shifted(self, shift: int) -> Page:
        """This page with other UIDs; columns are shared."""
        if not shift:
            return self
        twin = Page.__new__(Page)
        for name in Page.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.uids = array("I", [uid + shift for uid in self.uids])
        twin.unscanned = set(self.unscanned)
        return twin


class _Meta(msgspec.Struct, kw_only=True):
    head: bytes = bytes(4)
    uids: bytes
    dates: bytes
    saved: bytes
    sizes: bytes
    hs: bytes
    keys: list[str]
    key: bytes
    offsets: bytes
    lengths: bytes
    sums: bytes
    zones: bytes = b""
    eids: msgspec.Raw
    parts: msgspec.Raw
    other: msgspec.Raw
    hdr: msgspec.Raw
    lines: FieldLines | None = None
    unscanned: bytes = b""
    env: msgspec.Raw  # from here on for those who ask for it; _REST
    bs: msgspec.Raw


class StatePage(msgspec.Struct):
    """UID, index of flag set, modseq, size and home of each message: little-endian columns of 4, 4, 8, 4, 4 bytes."""

    uids: bytes
    flags: bytes
    modseqs: bytes
    sizes: bytes
    homes: bytes = b""


class TablePage(msgspec.Struct):
    """References to metadata pages, so that the checkpoint of a large mailbox stays small."""

    pages: list[PageRef]


class DeliveryPage(msgspec.Struct):
    """Delivery ids of one day (days since the epoch), 16 bytes each."""

    day: int
    ids: bytes


_HEAD = b"\xa4head\xc4\x04"
"""How `head`, the first column, begins, behind three octets that say how many there are."""
_START = 3 + len(_HEAD) + 4
_REST = b"\xa3env\xc0\xa2bs\xc0"
"""In place of the last columns: none."""
_PACK = msgspec.msgpack.Encoder()
_META = msgspec.msgpack.Decoder(_Meta)
_STATE = msgspec.msgpack.Decoder(StatePage)
_TABLE = msgspec.msgpack.Decoder(TablePage)
_DELIVERY = msgspec.msgpack.Decoder(DeliveryPage)


def seal(kind: int, content: object) -> bytes:
    """A page's bytes: magic, kind, zstd of msgpack."""
    return _sealed(kind, _PACK.encode(content))


def _sealed(kind: int, raw: bytes | bytearray) -> bytes:
    return _MAGIC + bytes([kind]) + zstandard.ZstdCompressor(_LEVEL).compress(raw)


def unseal(kind: int, data: bytes, expected: bytes | None) -> bytes:
    """The msgpack inside. Raises BadPage where checksum (None: ours, just made), magic or kind do not fit."""
    _check(kind, data, expected)
    return _opened(data)


def _check(kind: int, data: bytes, expected: bytes | None) -> None:
    if (expected is not None and checksum(data) != expected) or data[:4] != _MAGIC or data[4] != kind:
        raise BadPage("checksum, magic or kind of a page does not fit its reference")


def _opened(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(memoryview(data)[5:])


def encode_meta(page: Page) -> bytes:
    """Raises Damaged."""
    meta = _Meta(
        uids=little(page.uids),
        dates=little(page.dates),
        saved=little(page.saved),
        sizes=little(page.sizes),
        hs=little(page.header_sizes),
        keys=page._keys,
        key=little(page._key_of),
        offsets=little(page._offsets),
        lengths=little(page._lengths),
        sums=bytes(page._checksums),
        zones=little(page.zones) if any(page.zones) else b"",
        eids=written(page, "email_ids"),
        parts=written(page, "parts"),
        other=written(page, "names"),
        hdr=written(page, "fields"),
        lines=_lines(page),
        unscanned=little(array("I", sorted(page.unscanned))),
        env=written(page, "envelopes"),
        bs=written(page, "structures"),
    )
    raw = bytearray(_PACK.encode(meta))
    last = len(_REST) - 2 + len(meta.env) + len(meta.bs)
    raw[_START - 4 : _START] = (len(raw) - last).to_bytes(4, "little")
    return _sealed(META, raw)


def _lines(page: Page) -> FieldLines | None:
    if page.unscanned:
        return None
    return page.lines if page.lines is not None and page.lines.fits(len(page)) else field_lines(page.fields)


def decode_meta(data: bytes, expected: bytes, *, whole: bool = True) -> Page:
    """If not `whole`, what is asked for seldom is left until it is. Raises BadPage."""
    _check(META, data, expected)
    head = None if whole else _head(data)
    raw = _opened(data) if head is None else head
    try:
        meta = _META.decode(raw)
    except msgspec.DecodeError as error:
        raise BadPage(str(error)) from error
    page = Page()
    page.uids, page.dates, page.saved = unlittle("I", meta.uids), unlittle("q", meta.dates), unlittle("q", meta.saved)
    page.sizes, page.header_sizes = unlittle("Q", meta.sizes), unlittle("I", meta.hs)
    page._keys, page._key_of = meta.keys, unlittle("I", meta.key)
    page._key_index = {key: index for index, key in enumerate(meta.keys)}
    page._offsets, page._lengths = unlittle("Q", meta.offsets), unlittle("Q", meta.lengths)
    page._checksums = bytearray(meta.sums)
    page.zones = unlittle("h", meta.zones or bytes(2 * len(page.uids)))
    # copies: the raw page need not stay
    page.email_ids, page.parts, page.names = meta.eids.copy(), meta.parts.copy(), meta.other.copy()
    page.fields, page.lines = meta.hdr.copy(), meta.lines
    page.unscanned = set(unlittle("I", meta.unscanned))
    if head is None:
        page.envelopes, page.structures = meta.env.copy(), meta.bs.copy()
    else:
        page.envelopes, page.structures, page._sealed = None, None, data
    page.weight = zstandard.frame_content_size(memoryview(data)[5:]) + 600 * len(page.uids)
    return page


def _head(data: bytes) -> bytes | None:
    """A page up to the columns that are asked for seldom; None where it does not say where they begin."""
    stream = zstandard.ZstdDecompressor().stream_reader(memoryview(data)[5:])
    start = stream.read(_START)
    if start[3:-4] != _HEAD:
        return None
    more = int.from_bytes(start[-4:], "little") - _START
    return b"".join((start, stream.read(max(more, 0)), _REST))


def decode_state(data: bytes, expected: bytes) -> StatePage:
    return _decoded(_STATE, STATE, data, expected)


def decode_table(data: bytes, expected: bytes) -> list[PageRef]:
    return _decoded(_TABLE, TABLE, data, expected).pages


def decode_delivery(data: bytes, expected: bytes) -> DeliveryPage:
    return _decoded(_DELIVERY, DELIVERY, data, expected)


def _decoded(decoder: msgspec.msgpack.Decoder[_T], kind: int, data: bytes, expected: bytes) -> _T:
    try:
        return decoder.decode(unseal(kind, data, expected))
    except msgspec.DecodeError as error:
        raise BadPage(str(error)) from error
