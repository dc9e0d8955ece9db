"""Texts beside postings, compared with a string: read in runs, and kept in memory under a budget of octets.

Of a folder, which reads quickly, the texts are kept; of a bucket far away all that was read, as it is: that is half as
long, and what a question passed over is there for the next.

Invariant: what is read or unpacked at one time in a pod is bounded, however many search; long work is done in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from .bodies import Cache
from .location import Location
from .objects import ObjectStore, reads_at_once
from .runs import runs
from .settings import StoreSettings
from .texts import compare, holding, octets, scores

_AT_ONCE: Final = 8  # batches of a pod
_WORKERS: Final = 4  # of one question
_BATCH: Final = 512 << 10  # octets of frames
_SHORT: Final = 64 << 10  # octets of frames that are compared where the loop runs
_FEW: Final = 64  # texts likewise
_PIECE: Final = 128 << 10  # octets of a page that are kept together


class Comparing:
    """Of all accounts of a pod. `octets` counts what was read."""

    def __init__(self, objects: ObjectStore, settings: StoreSettings) -> None:
        self._objects = objects
        self._settings = settings
        far = reads_at_once(objects, settings.read_ahead) > 1
        self._kept: Cache[bytes] = Cache(0 if far else settings.search_text_bytes)
        self._pieces: Cache[bytes] | None = Cache(settings.search_text_bytes) if far else None
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self.octets = 0

    async def holding(self, places: Sequence[Location], text: str, *, headers: bool) -> list[int]:
        """UIDs of the texts at `places` (frames, in keys of the bucket) that hold `text`, which is mapped.

        Raises BadPage, NotFound, StorageError.
        """
        string = octets(text)
        known: list[tuple[int, bytes]] = []
        unknown: list[Location] = []
        for at in places:
            kept = self._kept.get((at.key, at.offset))
            if kept is None:
                unknown.append(at)
            else:
                known.append((at.uid, kept))
        left = iter(runs(unknown, self._settings.read_run_bytes, self._settings.read_gap_bytes))
        work = [self._compare(left, string, headers) for _ in range(_WORKERS)] if unknown else []
        found = await asyncio.gather(self._among(known, string, headers), *work)
        return [uid for each in found for uid in each]

    async def scored(
        self, places: Sequence[Location], score: Callable[[list[str]], int], *, headers: bool
    ) -> dict[int, int]:
        """What `score` gives for each of the texts at `places`, by UID. Raises BadPage, NotFound, StorageError."""
        out: dict[int, int] = {}
        left = iter(runs(places, self._settings.read_run_bytes, self._settings.read_gap_bytes))
        while True:
            async with self._slots:
                some, frames = await self._read(left)
                if not frames:
                    return out
                found = await asyncio.to_thread(partial(scores, frames, score, headers=headers))
            out |= zip((at.uid for at in some), found, strict=True)

    async def _among(self, known: Sequence[tuple[int, bytes]], string: bytes, headers: bool) -> list[int]:
        task = partial(holding, [text for _, text in known], string, headers=headers)
        found = task() if len(known) <= _FEW else await asyncio.to_thread(task)
        return [uid for (uid, _), holds in zip(known, found, strict=True) if holds]

    async def _compare(self, left: Iterator[list[Location]], string: bytes, headers: bool) -> list[int]:
        out: list[int] = []
        while True:
            async with self._slots:
                places, frames = await self._read(left)
                if not frames:
                    return out
                task = partial(compare, frames, string, headers=headers)
                short = sum(map(len, frames)) <= _SHORT
                found, kept = task() if short else await asyncio.to_thread(task)
            for at, text in zip(places, kept, strict=True):
                if text:
                    self._kept.put((at.key, at.offset), text, len(text) + 200)
            out += [at.uid for at, holds in zip(places, found, strict=True) if holds]

    async def _read(self, left: Iterator[list[Location]]) -> tuple[list[Location], list[bytes]]:
        """A batch of frames; none where nothing is left."""
        places: list[Location] = []
        frames: list[bytes] = []
        size = 0
        for run in left:
            start, end = run[0].offset, run[-1].offset + run[-1].length
            data = await self._range(run[0].key, start, end)
            places += run
            frames += [data[at.offset - start : at.offset - start + at.length] for at in run]
            size += end - start
            if size >= _BATCH:
                break
        return places, frames

    async def _range(self, key: str, start: int, end: int) -> bytes:
        if self._pieces is None:
            return await self._get(key, start, end)
        first, last = start // _PIECE, (end - 1) // _PIECE
        pieces = [self._pieces.get((key, at)) for at in range(first, last + 1)]
        if None in pieces:
            low = pieces.index(None)
            high = len(pieces) - pieces[::-1].index(None)
            read = await self._get(key, (first + low) * _PIECE, (first + high) * _PIECE)
            for at in range(low, high):
                piece = pieces[at] = read[(at - low) * _PIECE : (at - low + 1) * _PIECE]
                self._pieces.put((key, first + at), piece, len(piece) + 200)
        return b"".join(filter(None, pieces))[start - first * _PIECE : end - first * _PIECE]

    async def _get(self, key: str, start: int, end: int) -> bytes:
        data = await self._objects.get_range(key, start, end)
        self.octets += len(data)
        return data
