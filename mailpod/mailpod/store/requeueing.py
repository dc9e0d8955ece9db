"""`mailpod restore --queue`: what was in the queue at a time, and is gone, comes back on hold (STORE.md rule 16).

- Whether a message that is gone was delivered or dropped, the bucket does not say: a last attempt that goes well leaves
  no result. So nothing is tried again until a person, who has the pods' logs, releases it.
- What the bucket does say comes with it. Results are never changed, so those of any time tell whom not to send it to
  again; where every recipient has a final one, it stays gone.
- Its id stays: delivery ids are made of it (rule 17), so that a mailbox here does not get it twice.
- The hold is there before the message, and is looked for after it: a pod takes what has no message for garbage.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from mailpod.clock import Clock
from mailpod.store.names import outbound_prefix
from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, ObjectStore, StorageError
from mailpod.store.outbound import Outbound, Standing, merged

_TRIES: Final = 5
_LEFT_OUT: Final = ("message", "done", "hold", "release", "retry")  # of what there was: they are not what they were


@dataclass(slots=True)
class Requeued:
    """Ids, in order of arrival. Run again, it does what is left."""

    held: list[str] = field(default_factory=list)
    """Back in the queue, on hold."""
    settled: list[str] = field(default_factory=list)
    """Stay gone: each recipient got it, or its sender was told."""
    there: list[str] = field(default_factory=list)
    """In the queue all the time."""


async def requeue(
    objects: ObjectStore, past: ObjectStore, ever: ObjectStore, *, clock: Clock, rng: random.Random
) -> Requeued:
    """Bring back what `past`, the bucket as it was, has in its queue. `ever` has everything that there was since.

    Raises StorageError, Ambiguous, Unavailable.
    """
    now, then, since = (Outbound(each, clock=clock, rng=rng) for each in (objects, past, ever))
    done, after = Requeued(), ""
    while found := await then.standings(after):
        after = found[-1].id
        for standing in found:
            if standing.garbage:
                continue
            if (await now.standing(standing.id)).message is not None:
                done.there.append(standing.id)
            else:
                await _one(objects, since, ever, past, standing.id, done)
    return done


async def _one(
    objects: ObjectStore, since: Outbound, ever: ObjectStore, past: ObjectStore, entry_id: str, done: Requeued
) -> None:
    known = await since.standing(entry_id)
    outcomes = merged(await since.results(known))
    entry = await since.header(entry_id)
    if entry is None or all(one in outcomes and outcomes[one].final for one in entry.recipients):
        done.settled.append(entry_id)
        return
    await _put_back(objects, ever, past, entry_id, known)
    done.held.append(entry_id)


async def _put_back(objects: ObjectStore, ever: ObjectStore, past: ObjectStore, entry_id: str, known: Standing) -> None:
    prefix = outbound_prefix(entry_id)
    hold = f"{prefix}hold-{max(known.holds, default=0) + 1:06d}"
    contents = {hold: b"{}\n"}
    for entry in await ever.list(prefix):
        if entry.key.removeprefix(prefix).partition("-")[0] not in _LEFT_OUT:
            contents[entry.key] = await _get(ever, entry.key)
    contents[f"{prefix}message"] = await _get(past, f"{prefix}message")  # last
    for _ in range(_TRIES):
        for key, data in contents.items():
            await _create(objects, key, data)
        if contents.keys() <= {entry.key for entry in await objects.list(prefix)}:
            return
        await objects.delete([f"{prefix}message"])  # before anybody claims it
    raise StorageError(f"{prefix}: pods clear it all the time")


async def _get(objects: ObjectStore, key: str) -> bytes:
    try:
        return await objects.get(key)
    except NotFound:
        raise StorageError(f"{key}: its version has expired") from None


async def _create(objects: ObjectStore, key: str, data: bytes) -> None:
    try:
        await objects.create(key, [data])
    except (AlreadyExists, Ambiguous):  # looked for afterwards
        return
