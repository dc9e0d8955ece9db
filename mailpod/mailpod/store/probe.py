"""Whether a bucket keeps the one promise that the store rests on: `create` has one winner (STORE.md, rule 21).

A real race, not a version string: many keys, each with several writers at once on connections that are open already;
what is right serially and wrong in a race is refused too. Everything goes through ObjectStore, as the pods will go, so
that what a proxy does on the way counts. Keys are below `.mailpod/probe/<prober>/`, used once, and removed. What a
prober leaves that is killed, and what lands when its sender has given it up, `remove_left` removes.

Many races of few writers, and all of them at once: a wrong server is caught by the second writer that comes before the
first one's object is seen, so races count for more than writers, and SeaweedFS makes each loser of a race wait for its
lock in steps of a second (sixteen writers of one key take 5 to 10 s there, 24 races of four at once 3 s).
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, ObjectStore, StorageError

PROBE_PREFIX: Final = ".mailpod/probe/"
PROBE_VERSION: Final = 1  # what a recorded proof was made by; a higher one is proved again
UNSUPPORTED: Final = "ConditionalWritesUnsupported"
INCONSISTENT: Final = "ReadAfterWriteInconsistent"
UNREACHABLE: Final = "BucketUnavailable"
_WRITERS: Final = 4
_RACES: Final = 24


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`reason` is "" where the bucket is fit; else a condition's reason, and `message` says what was seen.

    BucketUnavailable may pass; the other reasons are about the server, and do not.
    """

    reason: str = ""
    message: str = ""

    @property
    def ok(self) -> bool:
        return not self.reason


class _Refused(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.result = ProbeResult(reason, message)


async def probe(objects: ObjectStore, *, rng: random.Random, whose: str = "any") -> ProbeResult:
    """Try the bucket. Never raises for what the bucket answers; takes some seconds at most on a bucket that is up.

    `whose` is the prober's name, a part of a key.
    """
    folder = f"{_folder(whose)}{rng.getrandbits(96):024x}/"
    used: list[str] = []
    try:
        await _serially(objects, _key(folder, used))
        await _over_a_deleted(objects, _key(folder, used))
        await _races(objects, [_key(folder, used) for _ in range(_RACES)])
        await _listed(objects, folder, used)
    except _Refused as refused:
        return refused.result
    except (StorageError, Ambiguous) as error:
        return ProbeResult(UNREACHABLE, f"the bucket did not answer while it was tried: {error}")
    finally:
        with suppress(StorageError, Ambiguous):
            await objects.delete(used)
    return ProbeResult()


async def remove_left(objects: ObjectStore, whose: str) -> None:
    """Remove what earlier probes of this prober left; to be called while none of its probes goes on.

    Writes nothing where there is nothing. Raises StorageError.
    """
    await objects.delete([entry.key for entry in await objects.list(_folder(whose))])


def _folder(whose: str) -> str:
    return f"{PROBE_PREFIX}{whose}/"


def _key(folder: str, used: list[str]) -> str:
    used.append(f"{folder}{len(used):03d}")
    return used[-1]


async def _serially(objects: ObjectStore, key: str) -> None:
    try:
        await objects.create(key, [b"first"])
    except AlreadyExists:
        raise _Refused(UNSUPPORTED, "creating a new object was answered with: it exists") from None
    except StorageError as error:
        await objects.put(key, [b"plain"])  # raises where it is not the condition that was refused
        raise _Refused(UNSUPPORTED, f"plain writes work and If-None-Match is refused: {error}") from None
    await _second(objects, key, b"first")


async def _second(objects: ObjectStore, key: str, content: bytes) -> None:
    """A second creator of `key` must fail, and must not have changed it."""
    with suppress(AlreadyExists, Ambiguous):
        await objects.create(key, [b"second"])
        raise _Refused(UNSUPPORTED, "a second create of one key succeeded: If-None-Match is ignored on the way")
    if await _content(objects, key) != content:
        raise _Refused(UNSUPPORTED, "a second create of one key was refused and replaced the object all the same")


async def _over_a_deleted(objects: ObjectStore, key: str) -> None:
    """Over a deleted key; with versioning that is over a delete marker."""
    await objects.create(key, [b"before"])
    await objects.delete([key])
    try:
        await objects.create(key, [b"after"])
    except AlreadyExists:
        raise _Refused(UNSUPPORTED, "a deleted key cannot be created again: its delete marker counts") from None
    await _second(objects, key, b"after")


async def _races(objects: ObjectStore, keys: list[str]) -> None:
    """A race for each key, all at once. What one shows of the server goes before another's failure."""
    await asyncio.gather(*(_absent(objects, key) for key in keys for _ in range(_WRITERS)))  # opens the connections
    found = await asyncio.gather(*(_race(objects, key) for key in keys), return_exceptions=True)
    failures = [failure for failure in found if failure is not None]
    for failure in sorted(failures, key=lambda failure: not isinstance(failure, _Refused)):
        raise failure


async def _race(objects: ObjectStore, key: str) -> None:
    contents = [f"writer {writer} of {key}".encode() for writer in range(_WRITERS)]
    answers = await asyncio.gather(*(objects.create(key, [content]) for content in contents), return_exceptions=True)
    winners = [content for content, answer in zip(contents, answers, strict=True) if answer is None]
    if len(winners) > 1:
        raise _Refused(UNSUPPORTED, f"{len(winners)} of {_WRITERS} simultaneous creates of one key succeeded")
    for answer in answers:
        if isinstance(answer, StorageError) or not isinstance(answer, Exception | None):
            raise answer
    held = await _content(objects, key)
    if winners and held != winners[0]:
        raise _Refused(UNSUPPORTED, "the winner of simultaneous creates is not what the object holds")
    unsure = [content for content, answer in zip(contents, answers, strict=True) if isinstance(answer, Ambiguous)]
    if not winners and held not in unsure:
        raise _Refused(UNSUPPORTED, "of simultaneous creates none succeeded")


async def _absent(objects: ObjectStore, key: str) -> None:
    with suppress(NotFound):
        await objects.get(key)


async def _content(objects: ObjectStore, key: str) -> bytes:
    try:
        return await objects.get(key)
    except NotFound:
        raise _Refused(INCONSISTENT, "an object that was just created is not there") from None


async def _listed(objects: ObjectStore, folder: str, used: list[str]) -> None:
    found = {entry.key for entry in await objects.list(folder)}
    if found != set(used):
        raise _Refused(INCONSISTENT, f"of {len(used)} objects just created a listing shows {len(found)}")
