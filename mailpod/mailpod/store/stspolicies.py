"""MTA-STS policies of other domains that were had once (RFC 8461 §3.3), so that a new pod knows them too.

    mta-sts/<domain, encoded>    mutable: JSON. Its age is bucket time

A policy holds as long as it says, whatever DNS and HTTPS say meanwhile: a pod that has just started must not be a way
around it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mailpod.clock import Clock
from mailpod.errors import Unavailable
from mailpod.store.buckettime import BucketClock
from mailpod.store.names import encode_local_part
from mailpod.store.objects import Ambiguous, NotFound, ObjectStore, StorageError

POLICIES_PREFIX: Final = "mta-sts/"


class KeptPolicy(msgspec.Struct, frozen=True):
    """`id` is the one that the DNS had for it; `max_age` in seconds since it was kept."""

    id: str
    mode: str
    max_age: int
    mx: tuple[str, ...] = ()


class StsPolicies:
    """Both methods raise Unavailable when the bucket does not answer."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects, self._time = objects, BucketClock(objects, clock)

    async def load(self, domain: str) -> tuple[KeptPolicy, float] | None:
        """The policy and its age in seconds."""
        try:
            data, modified = await self._objects.get_with_time(_key(domain))
            age = max(0.0, await self._time.now() - modified)
            return msgspec.json.decode(data, type=KeptPolicy), age
        except (NotFound, msgspec.MsgspecError):
            return None
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error

    async def keep(self, domain: str, policy: KeptPolicy) -> None:
        """In place of the one before."""
        try:
            await self._objects.put(_key(domain), [msgspec.json.encode(policy)])
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error


def _key(domain: str) -> str:
    return f"{POLICIES_PREFIX}{encode_local_part(domain)}"
