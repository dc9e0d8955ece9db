"""Which messages hold a string, by the postings and texts in the bucket: read by need, and kept under a budget.

Invariant: the answer is what reading the messages would give: postings rule out, texts decide. A segment that cannot be
read, or is damaged or gone, is passed over: its messages are read all, and its mailbox forgets it, so that it is
written again.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Final, Literal, TypeAlias

from pyroaring import BitMap

from ..logs import event
from ..mime.collation import casemap
from ..mime.likeness import Likeness, Word
from .bodies import Cache
from .columns import Columns
from .comparing import Comparing
from .fieldcolumns import FIELDS, holding, unpack
from .objects import NotFound, ObjectStore, StorageError
from .page import BadPage
from .postings import FOLDED, IN_HEADER, SearchRef, Terms, asked, exact, gram_key, read_block, read_terms, unpack_rows
from .settings import StoreSettings
from .sortkeys import Column, ColumnName, unpack_column
from .texts import octets

Kept: TypeAlias = "tuple[Sequence[Sequence[Any]], Sequence[int], array[int]]"  # columns of a segment; rows, their UIDs
Where: TypeAlias = Literal["header", "body", "text"]
_MARKS: Final[dict[Where, tuple[str, ...]]] = {"header": (IN_HEADER,), "body": ("",), "text": (IN_HEADER, "")}
_AT_ONCE: Final = 8  # segments


@dataclass(frozen=True, slots=True)
class Narrowed:
    """UIDs of the messages that hold a string, and of those that must be read to know it."""

    found: BitMap = field(default_factory=BitMap)
    left: BitMap = field(default_factory=BitMap)

    def __or__(self, other: Narrowed) -> Narrowed:
        return Narrowed(self.found | other.found, self.left | other.left)


@dataclass(frozen=True, slots=True)
class Resembling:
    """How like messages are to a string, by UID, where they are; and the UIDs of those that must be read to know it."""

    scores: dict[int, int] = field(default_factory=dict)
    left: BitMap = field(default_factory=BitMap)


class Searching:
    """Of all accounts of a pod."""

    def __init__(self, objects: ObjectStore, settings: StoreSettings) -> None:
        self._objects = objects
        self._terms: Cache[Terms] = Cache(settings.search_cache_bytes // 2)
        self._blocks: Cache[dict[bytes, bytes]] = Cache(settings.search_cache_bytes)
        self._columns: Cache[Column] = Cache(settings.search_cache_bytes // 2)
        self._fields: Cache[bytes] = Cache(settings.search_cache_bytes // 4)
        self._comparing = Comparing(objects, settings)
        self._octets = 0

    @property
    def octets(self) -> int:
        """What was read of postings and texts."""
        return self._octets + self._comparing.octets

    async def narrow(self, prefix: str, box: Columns, text: str, uids: Sequence[int], where: Where) -> Narrowed:
        """Which of `uids` (ascending) hold `text`, which is mapped (mime/collation.py), there, as far as is known."""
        if not text:
            return Narrowed(left=BitMap(uids))
        return await self._by_segment(prefix, box, uids, lambda *part: self._known(prefix, (text, where), *part))

    async def _by_segment(
        self, prefix: str, box: Columns, uids: Sequence[int], ask: Callable[[SearchRef, BitMap], Awaitable[Narrowed]]
    ) -> Narrowed:
        """What is known of `uids` (ascending), some segments at once. `ask` raises NotFound, BadPage, StorageError."""
        segments = [each for each in box.search if uids and each.terms.first <= uids[-1] and each.terms.last >= uids[0]]
        slots = asyncio.Semaphore(_AT_ONCE)
        known: list[Awaitable[Narrowed]] = []
        behind = BitMap(uids)

        async def known_in(segment: SearchRef, among: BitMap) -> Narrowed:
            async with slots:
                try:
                    return await ask(segment, among)
                except (NotFound, BadPage) as error:
                    _forget(prefix, box, segment, error)
                except StorageError:
                    pass
                return Narrowed(left=among)

        for segment in segments:
            low, high = bisect_left(uids, segment.terms.first), bisect_right(uids, segment.terms.last)
            if among := BitMap(uids[low:high]):
                known.append(known_in(segment, among))
                behind -= among
        return reduce(or_, await asyncio.gather(*known), Narrowed(left=behind))

    async def _known(self, prefix: str, asks: tuple[str, Where], segment: SearchRef, among: BitMap) -> Narrowed:
        """Raises NotFound, BadPage, StorageError."""
        text, where = asks
        terms = await self._load_terms(prefix, segment)
        trigrams = [found for mark in _MARKS[where] if (found := asked(text, mark))]
        if trigrams:
            rows = BitMap.union(*[await self._rows(prefix, segment, terms, each) for each in trigrams])
        else:
            rows = BitMap(range(len(terms.uids)))  # of a string that is short postings say nothing
        left = among & terms.uids_of(terms.always) | among - terms.covered
        likely = among & terms.uids_of(rows - terms.always)
        if trigrams and exact(text) and where != "header":
            return Narrowed(likely, left)
        if where == "header":
            return Narrowed(left=left | likely)
        key = f"{prefix}page/{segment.texts.id}"
        places = [at for row in rows - terms.always if (at := terms.text(key, row)).uid in likely]
        return Narrowed(BitMap(await self._comparing.holding(places, text, headers=where == "text")), left)

    async def in_field(self, prefix: str, box: Columns, name: bytes, text: str, uids: Sequence[int]) -> Narrowed:
        """Which of `uids` (ascending) hold `text`, mapped, in a header field of that name, as far as it is kept."""
        if name not in FIELDS or not text:
            return Narrowed(left=BitMap(uids))
        asks = FIELDS.index(name), octets(text)
        return await self._by_segment(prefix, box, uids, lambda *part: self._in_column(prefix, asks, *part))

    async def _in_column(self, prefix: str, asks: tuple[int, bytes], segment: SearchRef, among: BitMap) -> Narrowed:
        """Raises NotFound, BadPage, StorageError."""
        field, string = asks
        terms = await self._load_terms(prefix, segment)
        if field >= len(terms.fields):
            return Narrowed(left=among)
        rows, unsaid = holding(await self._load_field(prefix, segment, terms, field), string)
        return Narrowed(among & terms.uids_of(rows), among & terms.uids_of(unsaid) | among - terms.covered)

    async def _load_field(self, prefix: str, segment: SearchRef, terms: Terms, field: int) -> bytes:
        async def read() -> bytes:
            data = await self._objects.get_range(f"{prefix}page/{segment.postings.id}", *terms.field_place(field))
            self._octets += len(data)
            return unpack(data, len(terms.uids))

        return await self._fields.load((segment.postings.id, field), read, lambda column: len(column) + 200)

    async def resembling(
        self, prefix: str, box: Columns, likeness: Likeness, uids: Sequence[int], where: Where
    ) -> Resembling:
        """How like `uids` (ascending) are to a string there, as far as is known: RFC 6203."""
        scores: dict[int, int] = {}
        left = BitMap(uids)
        for segment in list(box.search) if where != "header" else ():
            among = BitMap(uids[bisect_left(uids, segment.terms.first) : bisect_right(uids, segment.terms.last)])
            try:
                found = await self._resembling(prefix, segment, likeness, where, among) if among else Resembling()
            except (NotFound, BadPage) as error:
                _forget(prefix, box, segment, error)
                break
            except StorageError:
                continue
            scores |= found.scores
            left = left - among | found.left
        return Resembling({uid: score for uid, score in scores.items() if score}, left)

    async def _resembling(
        self, prefix: str, segment: SearchRef, likeness: Likeness, where: Where, among: BitMap
    ) -> Resembling:
        """Raises NotFound, BadPage, StorageError."""
        terms = await self._load_terms(prefix, segment)
        rows = BitMap(range(len(terms.uids))) - terms.always
        for word in likeness.words:
            rows &= await self._with_most(prefix, segment, terms, word, where)
        key = f"{prefix}page/{segment.texts.id}"
        places = [at for row in rows if (at := terms.text(key, row)).uid in among]
        scores = await self._comparing.scored(places, likeness.of, headers=where == "text")
        return Resembling(scores, among & terms.uids_of(terms.always) | among - terms.covered)

    async def _with_most(self, prefix: str, segment: SearchRef, terms: Terms, word: Word, where: Where) -> BitMap:
        """Rows that have as many of a word's trigrams as are needed."""
        reached = [BitMap() for _ in range(word.needed)]  # with one of them at least, with two …
        for gram in word.grams:
            keys = [gram_key(mark + casemap(gram)) for mark in (*_MARKS[where], FOLDED)]
            rows = BitMap.union(*[await self._rows(prefix, segment, terms, [key]) for key in keys])
            for at in range(word.needed - 1, 0, -1):
                reached[at] |= reached[at - 1] & rows
            reached[0] |= rows
        return reached[-1]

    async def sort_keys(
        self, prefix: str, box: Columns, uids: array[int], names: Sequence[ColumnName]
    ) -> tuple[list[Kept], BitMap]:
        """What SORT and THREAD compare, as far as it is kept of `uids` (ascending), and the UIDs of which it is not."""
        out: list[Kept] = []
        left = BitMap(uids)
        for segment in box.search:
            among = uids[bisect_left(uids, segment.terms.first) : bisect_right(uids, segment.terms.last)]
            if not among:
                continue
            try:
                terms = await self._load_terms(prefix, segment)
                columns = [await self._load_column(segment, terms, name) for name in names] if terms.keys else None
            except (NotFound, BadPage) as error:
                _forget(prefix, box, segment, error)
                continue
            except StorageError:
                continue
            if columns is None:
                continue
            if among == terms.uids:
                out.append((columns, range(len(among)), among))
            else:
                wanted = BitMap(among)
                rows = [row for row, uid in enumerate(terms.uids) if uid in wanted]
                if not rows:
                    continue
                among = array("I", [terms.uids[row] for row in rows])
                out.append((columns, rows, among))
            left -= BitMap(among)
        return out, left

    async def _load_column(self, segment: SearchRef, terms: Terms, name: ColumnName) -> Sequence[Any]:
        async def read() -> Column:
            return unpack_column(terms.keys, name, len(terms.uids))

        return (await self._columns.load((segment.terms.id, name), read, lambda column: column.weight)).values

    async def _rows(self, prefix: str, segment: SearchRef, terms: Terms, wanted: Sequence[bytes]) -> BitMap:
        blocks = dict.fromkeys(terms.block_of(trigram) for trigram in wanted)
        if -1 in blocks:
            return BitMap()
        loaded = dict(
            zip(blocks, await asyncio.gather(*(self._block(prefix, segment, terms, at) for at in blocks)), strict=True)
        )
        packed = [loaded[terms.block_of(trigram)].get(trigram) for trigram in wanted]
        if None in packed:
            return BitMap()
        return BitMap.intersection(*(unpack_rows(rows) for rows in sorted(filter(None, packed), key=len)))

    async def _load_terms(self, prefix: str, segment: SearchRef) -> Terms:
        async def read() -> Terms:
            data = await self._objects.get(f"{prefix}page/{segment.terms.id}")
            self._octets += len(data)
            return read_terms(data, segment.terms.sum)

        return await self._terms.load(segment.terms.id, read, lambda terms: terms.weight)

    async def _block(self, prefix: str, segment: SearchRef, terms: Terms, block: int) -> dict[bytes, bytes]:
        async def read() -> dict[bytes, bytes]:
            data = await self._objects.get_range(f"{prefix}page/{segment.postings.id}", *terms.place(block))
            self._octets += len(data)
            return read_block(terms, block, data)

        return await self._blocks.load((segment.postings.id, block), read, _weight)


def _forget(prefix: str, box: Columns, segment: SearchRef, error: Exception) -> None:
    event("store.search.lost", level="warning", account=prefix, page=segment.terms.id, error=repr(error))
    if segment in box.search:  # and what is behind it: what is indexed is always the beginning
        box.search = box.search[: box.search.index(segment)]


def _weight(entries: dict[bytes, bytes]) -> int:
    return sum(map(len, entries.values())) + 150 * len(entries)
