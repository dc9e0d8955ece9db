"""Postings for substring search: which messages hold three characters in a row (FORMAT.md, "Search"). No I/O.

Invariants
- A segment answers for exactly the messages in its `uids`; a string is in a message's text only if the message's row is
  in the rows of all its trigrams, or one of `always`. So what it leaves out need not be read, and nothing more is true.
- The trigrams of a message's own header are apart from those of its body: BODY does not find what headers say.
- Blocks are read one by one: each has its own checksum, in the page of terms.
- Trigrams are those of words, each between two blanks: what is white space in a text counts as a blank here.
- Words that folding changes are there once more as FUZZY reads them, apart too: no other search finds them by that.
"""

from __future__ import annotations

import re
import zlib
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import accumulate, groupby
from typing import Final, NamedTuple

import msgspec
import zstandard
from pyroaring import BitMap

from ..mime.collation import casemap
from ..mime.folding import fold
from . import fieldcolumns, texts
from .little import little, unlittle
from .location import Location
from .ops import PageRef
from .page import BadPage, seal, unseal
from .sortkeys import Keys, join_keys, pack_keys

TERMS, POSTINGS = 5, 6
HEADER: Final = b"MPP1" + bytes([POSTINGS])
_BLOCK: Final = 32 << 10  # octets of a block before compression
_WORDS: Final = 1024  # taken apart in one step
_FEW: Final = 8  # rows that are written as they are
_ASKED: Final = 12  # trigrams of one string that are looked up
_MOST_ROWS: Final = 1 << 16
_INDEXED: Final = re.compile(r"(?=([ \S]\S[ \S]))")  # of a word and the blanks around it
IN_HEADER: Final = "\0"  # before a trigram of the message's own header
FOLDED: Final = "\1"  # before one of a word that was folded, wherever it stands


class SearchRef(msgspec.Struct, frozen=True, array_like=True):
    """A segment: its page of terms, and the pages of postings and texts that this one describes."""

    terms: PageRef
    postings: PageRef
    texts: PageRef

    def refs(self) -> list[PageRef]:
        return [self.terms, self.postings, self.texts]


class Made(NamedTuple):
    """The pages of a segment."""

    terms: bytes
    postings: bytes
    texts: bytes


class _Terms(msgspec.Struct):
    uids: bytes
    always: bytes
    firsts: list[bytes]
    ends: bytes
    sums: bytes
    texts: bytes = b""
    keys: bytes = b""
    fields: bytes = b""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is kept in memory of a segment. `ends` are offsets in the page of postings; a block begins at the last.

    `texts` are offsets likewise in the page of texts, one a row; only those of `always` have no octets there.
    `keys` are what SORT and THREAD compare (sortkeys.py), packed, or nothing. `fields` are offsets in the page of
    postings again, behind the blocks: where columns of header fields (fieldcolumns.py) end, if there are any.
    """

    uids: array[int]
    covered: BitMap
    always: BitMap
    firsts: list[bytes]
    ends: array[int]
    sums: array[int]
    texts: array[int]
    keys: bytes
    fields: array[int]

    @property
    def weight(self) -> int:
        """About the bytes it takes in memory."""
        return 20 * len(self.uids) + 80 * len(self.ends) + len(self.keys)

    def block_of(self, trigram: bytes) -> int:
        """The block in which `trigram` is, if it is in any; -1 where it is in none."""
        return bisect_right(self.firsts, trigram) - 1

    def place(self, block: int) -> tuple[int, int]:
        """Range of octets in the page of postings."""
        return (self.ends[block - 1] if block else len(HEADER)), self.ends[block]

    def field_place(self, field: int) -> tuple[int, int]:
        """The range of a column, likewise."""
        blocks_end = self.ends[-1] if self.ends else len(HEADER)
        return (self.fields[field - 1] if field else blocks_end), self.fields[field]

    def text(self, key: str, row: int) -> Location:
        """Where the frame of a row is, in the page of texts `key`."""
        start = self.texts[row - 1] if row else len(texts.HEADER)
        return Location(key, start, self.texts[row] - start, b"", self.uids[row])

    def uids_of(self, rows: BitMap) -> BitMap:
        return BitMap([self.uids[row] for row in rows])


_TERMS = msgspec.msgpack.Decoder(_Terms)
_ENTRIES = msgspec.msgpack.Decoder(dict[bytes, bytes])
_PACK = msgspec.msgpack.Encoder()


def words(text: str) -> set[str]:
    """What a segment is built of: the words of a mapped text, which recur, so that few are taken apart."""
    return set(text.split())


def folded(found: Iterable[str]) -> set[str]:
    """Of words that folding changes, not only in case: what is made of them."""
    return {other for word in found if (other := casemap(fold(word))) != word}


def exact(text: str) -> bool:
    """Whether the rows of a mapped string's one trigram are those of the messages that hold it."""
    return len(text) == 3 and len(text.split()) == 1 and text == text.strip()


def asked(text: str, mark: str = "") -> list[bytes]:
    """The trigrams to look up for a mapped string: all that are indexed, or some from everywhere in it.

    `mark` may be IN_HEADER. Of a string that is short there are none: then postings can say nothing.
    """
    distinct = list(dict.fromkeys(_INDEXED.findall(text)))
    step = max(1, -(-len(distinct) // _ASKED))
    return [gram_key(mark + each) for each in distinct[::step]]


def gram_key(trigram: str) -> bytes:
    """As it stands in the blocks."""
    return trigram.encode("utf-8", "surrogatepass")


class Builder:
    """A segment in the making."""

    def __init__(self) -> None:
        self._uids = array("I")
        self._always: list[int] = []
        self._texts = [texts.HEADER]
        self._keys: list[Keys] = []
        self._fields: list[tuple[bytes, ...]] = []
        marks = ("", IN_HEADER, FOLDED)
        self._rows = {mark: _rows_by_text() for mark in marks}

    def __len__(self) -> int:
        return len(self._uids)

    def add(
        self,
        uid: int,
        body: set[str] | None,
        header: Iterable[str] = (),
        text: bytes = b"",
        keys: Keys | None = None,
        fields: tuple[bytes, ...] = (),
    ) -> None:
        """A message: the words of its text, and those of its own header; None where not known. UIDs ascend.

        `text` is its frame (texts.py); where one message is without `keys`, or `fields` (fieldcolumns.py), the segment
        is.
        """
        header = set(header)
        row = len(self._uids)
        if keys is not None:
            self._keys.append(keys)
        if fields:
            self._fields.append(fields)
        self._uids.append(uid)
        self._texts.append(text)
        if body is None:
            self._always.append(row)
            return
        for mark, found in (("", body), (IN_HEADER, header), (FOLDED, folded(body | header))):
            rows = self._rows[mark]
            for word in found:
                rows[word].append(row)

    def finish(self) -> Iterator[Made | None]:
        """In steps, the last of which gives the pages."""
        found = _rows_by_text()
        for mark, rows_of in self._rows.items():
            for at, (word, rows) in enumerate(rows_of.items(), 1):
                padded = f" {word} "
                for start in range(len(word)):
                    found[mark + padded[start : start + 3]] += rows
                if at % _WORDS == 0:
                    yield None
        entries = ((gram_key(trigram), _pack_rows(BitMap(found.pop(trigram)))) for trigram in ascending(found))
        ends = array("I", accumulate(map(len, self._texts)))[1:]
        keys = pack_keys(self._keys) if len(self._keys) == len(self._uids) else b""
        fields = fieldcolumns.pack(self._fields) if len(self._fields) == len(self._uids) else []
        yield from _write(_Rows(self._uids, self._always, ends, keys, fields), entries, b"".join(self._texts))


def _rows_by_text() -> defaultdict[str, array[int]]:
    """Of arrays, which are nothing to the garbage collector: lists it would go through, and all would wait for it."""
    return defaultdict(partial(array, "I"))


def ascending(found: Collection[str]) -> Iterator[str]:
    """Trigrams by their keys. A few are sorted at a time: while a call sorts, no other thread runs, and 100,000 take
    a tenth of a second and more."""
    alike: defaultdict[bytes, list[str]] = defaultdict(list)
    for trigram in found:
        alike[gram_key(trigram)[:2]].append(trigram)
    for start in sorted(alike):
        yield from sorted(alike.pop(start), key=gram_key)


def joined(one: Made, two: Made) -> Iterator[Made | None]:
    """Two segments as one, in steps; all UIDs of the second are above the first's. Raises BadPage."""
    first, second = read_terms(one.terms), read_terms(two.terms)
    shift = len(first.uids)
    if shift + len(second.uids) > _MOST_ROWS:
        raise BadPage("a segment of too many messages")
    both = merge(
        ((key, 0, rows) for key, rows in _entries(first, one.postings)),
        ((key, shift, rows) for key, rows in _entries(second, two.postings)),
    )
    entries = (
        (key, _joined_rows([(offset, rows) for _, offset, rows in group]))
        for key, group in groupby(both, key=lambda each: each[0])
    )
    always = [*first.always, *(shift + row for row in second.always)]
    behind = len(one.texts) - len(texts.HEADER)
    ends = first.texts + array("I", [behind + end for end in second.texts])
    keys = join_keys((first.keys, shift), (second.keys, len(second.uids)))
    columns = zip(_fields(first, one.postings), _fields(second, two.postings), strict=False)
    fields = [fieldcolumns.joined(*each) for each in columns]
    rows = _Rows(first.uids + second.uids, always, ends, keys, fields)
    yield from _write(rows, entries, texts.joined(one.texts, two.texts))


def at_once(steps: Iterator[Made | None]) -> Made:
    """What the last step gives."""
    *_, made = steps
    assert made is not None
    return made


def _joined_rows(parts: list[tuple[int, bytes]]) -> bytes:
    if len(parts) == 1 and not parts[0][0]:
        return parts[0][1]
    out = BitMap()
    for offset, rows in parts:
        out |= unpack_rows(rows).shift(offset)
    return _pack_rows(out)


def _entries(terms: Terms, postings: bytes) -> Iterator[tuple[bytes, bytes]]:
    for block in range(len(terms.firsts)):
        start, end = terms.place(block)
        yield from read_block(terms, block, postings[start:end]).items()


def _fields(terms: Terms, postings: bytes) -> list[bytes]:
    """Raises BadPage."""
    places = map(terms.field_place, range(len(terms.fields)))
    return [fieldcolumns.unpack(postings[start:end], len(terms.uids)) for start, end in places]


class _Rows(NamedTuple):
    """What a segment says of its messages one by one."""

    uids: array[int]
    always: Sequence[int]
    texts: array[int]
    keys: bytes
    fields: Sequence[bytes]


def _write(rows: _Rows, entries: Iterable[tuple[bytes, bytes]], frames: bytes) -> Iterator[Made | None]:
    """A step a block."""
    out = [HEADER]
    firsts: list[bytes] = []
    ends, sums = array("I"), array("I")
    packer = zstandard.ZstdCompressor(1)
    end = len(HEADER)
    for block in _blocks(entries):
        data = packer.compress(_PACK.encode(block))
        end += len(data)
        out.append(data)
        firsts.append(next(iter(block)))
        ends.append(end)
        sums.append(zlib.crc32(data))
        yield None
    fields = array("I", accumulate(map(len, rows.fields), initial=end))[1:]
    terms = _Terms(
        little(rows.uids),
        little(array("H", rows.always)),
        firsts,
        little(ends),
        little(sums),
        little(rows.texts),
        rows.keys,
        little(fields),
    )
    yield Made(seal(TERMS, terms), b"".join([*out, *rows.fields]), frames)


def _blocks(entries: Iterable[tuple[bytes, bytes]]) -> Iterator[dict[bytes, bytes]]:
    block: dict[bytes, bytes] = {}
    size = 0
    for key, rows in entries:
        block[key] = rows
        size += len(key) + len(rows) + 4
        if size >= _BLOCK:
            yield block
            block, size = {}, 0
    if block:
        yield block


def read_terms(data: bytes, expected: bytes | None = None) -> Terms:
    """Raises BadPage; `expected` is the checksum in the reference."""
    try:
        found = _TERMS.decode(unseal(TERMS, data, expected))
    except msgspec.DecodeError as error:
        raise BadPage(str(error)) from error
    uids = unlittle("I", found.uids)
    return Terms(
        uids,
        BitMap(uids),
        BitMap(unlittle("H", found.always).tolist()),
        found.firsts,
        unlittle("I", found.ends),
        unlittle("I", found.sums),
        unlittle("I", found.texts),
        found.keys,
        unlittle("I", found.fields),
    )


def read_block(terms: Terms, block: int, data: bytes) -> dict[bytes, bytes]:
    """Rows by trigram, packed. Raises BadPage."""
    if zlib.crc32(data) != terms.sums[block]:
        raise BadPage("the checksum of a block of postings does not fit")
    try:
        return _ENTRIES.decode(zstandard.ZstdDecompressor().decompress(data))
    except (msgspec.DecodeError, zstandard.ZstdError) as error:
        raise BadPage(str(error)) from error


def _pack_rows(rows: BitMap) -> bytes:
    if len(rows) <= _FEW:
        return b"\0" + little(array("H", rows))
    rows.run_optimize()
    packed: bytes = rows.serialize()
    return b"\1" + packed


def unpack_rows(packed: bytes) -> BitMap:
    if packed[:1] == b"\1":
        return BitMap.deserialize(packed[1:])
    return BitMap(unlittle("H", packed[1:]).tolist())
