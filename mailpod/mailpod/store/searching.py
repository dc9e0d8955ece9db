"""Which messages may hold a string, by the postings in the bucket: read by need, and kept under a budget.

Invariant: postings save reading and decide nothing. A segment that cannot be read, or is damaged or gone, is passed
over: its messages are candidates all, and its mailbox forgets it, so that it is written again.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from pyroaring import BitMap

from ..logs import event
from .bodies import Cache
from .columns import Columns
from .objects import NotFound, ObjectStore, StorageError
from .page import BadPage
from .postings import IN_HEADER, SearchRef, Terms, asked, read_block, read_terms, unpack_rows
from .settings import StoreSettings

Where: TypeAlias = Literal["header", "body", "text"]
_MARKS: Final[dict[Where, tuple[str, ...]]] = {"header": (IN_HEADER,), "body": ("",), "text": (IN_HEADER, "")}
_AT_ONCE: Final = 8  # segments


class Searching:
    """Of all accounts of a pod. `octets` counts what was read of postings."""

    def __init__(self, objects: ObjectStore, settings: StoreSettings) -> None:
        self._objects = objects
        self._terms: Cache[Terms] = Cache(settings.search_cache_bytes // 4)
        self._blocks: Cache[dict[bytes, bytes]] = Cache(settings.search_cache_bytes)
        self.octets = 0

    async def narrow(self, prefix: str, box: Columns, text: str, uids: Sequence[int], where: Where) -> Sequence[int]:
        """Those of `uids` (ascending) that may hold `text`, which is folded (mime/folding.py), there."""
        segments = [each for each in box.search if uids and each.terms.first <= uids[-1] and each.terms.last >= uids[0]]
        wanted = [found for mark in _MARKS[where] if (found := asked(text, mark))]
        if not wanted or not segments:
            return uids
        slots = asyncio.Semaphore(_AT_ONCE)

        async def ask(segment: SearchRef) -> BitMap:
            async with slots:
                return await self._ruled_out(prefix, box, segment, wanted)

        out: list[int] = []
        at = 0
        ruled_out = await asyncio.gather(*map(ask, segments))
        for segment, gone in zip(segments, ruled_out, strict=True):
            low, high = bisect_left(uids, segment.terms.first), bisect_right(uids, segment.terms.last)
            out += uids[at:low]
            out += BitMap(uids[low:high]) - gone
            at = high
        out += uids[at:]
        return array("I", out)

    async def _ruled_out(
        self, prefix: str, box: Columns, segment: SearchRef, wanted: Sequence[Sequence[bytes]]
    ) -> BitMap:
        """UIDs of the segment whose messages do not hold all trigrams of any of these strings."""
        try:
            terms = await self._load_terms(prefix, segment)
            found = [await self._rows(prefix, segment, terms, each) for each in wanted]
        except (NotFound, BadPage) as error:
            event("store.search.lost", level="warning", account=prefix, page=segment.terms.id, error=repr(error))
            if segment in box.search:  # and what is behind it: what is indexed is always the beginning
                box.search = box.search[: box.search.index(segment)]
            return BitMap()
        except StorageError:
            return BitMap()
        return terms.covered - terms.uids_of(BitMap.union(*found, terms.always))

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
            self.octets += len(data)
            return read_terms(data, segment.terms.sum)

        return await self._terms.load(segment.terms.id, read, lambda terms: 20 * len(terms.uids) + 80 * len(terms.ends))

    async def _block(self, prefix: str, segment: SearchRef, terms: Terms, block: int) -> dict[bytes, bytes]:
        async def read() -> dict[bytes, bytes]:
            data = await self._objects.get_range(f"{prefix}page/{segment.postings.id}", *terms.place(block))
            self.octets += len(data)
            return read_block(terms, block, data)

        return await self._blocks.load((segment.postings.id, block), read, _weight)


def _weight(entries: dict[bytes, bytes]) -> int:
    return sum(map(len, entries.values())) + 150 * len(entries)
