"""Which objects of a prefix are still what they were when they were read, from listings rather than a GET each.

A key's tag in one listing, a GET sent after it, and the same tag in the next listing: what the GET gave was the object
from before the first to after the second (a value that went and came back between them is not told apart; entries of
the directory carry versions, and none goes back).

A listing is asked for only where it is cheaper than the GETs that it saves, and one that does not reach all keys is not
asked for again until twice as many are wanted: it would be paid for beside most of the GETs.
"""

from __future__ import annotations

from typing import Final

from mailpod.store.objects import ObjectStore, StorageError

_GETS: Final = 12  # that S3 sells at the price of one LIST, which is also work for any other store
_PAGE: Final = 1000  # keys in an answer to LIST


class Unchanged:
    """The tags that the newest listing of each prefix gave."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._tags: dict[str, dict[str, str]] = {}
        self._in_vain: dict[str, int] = {}  # prefix -> how many keys were wanted when a listing did not reach all

    def tag(self, key: str, prefix: str) -> str:
        """What the newest listing said of `key`; "" where it said nothing. Ask before a GET is sent."""
        return self._tags.get(prefix, {}).get(key, "")

    async def look(self, prefix: str, wanted: int) -> dict[str, str]:
        """Key -> tag of what is under `prefix`; nothing where the store fails, or GETs of `wanted` keys are cheaper."""
        self._tags.pop(prefix, None)
        limit = wanted // _GETS * _PAGE
        if not limit or wanted < 2 * self._in_vain.get(prefix, 0):
            return {}
        try:
            found = await self._objects.list(prefix, limit=limit)
        except StorageError:
            return {}
        if len(found) == limit:
            self._in_vain[prefix] = wanted
            return {}
        self._in_vain.pop(prefix, None)
        self._tags[prefix] = {entry.key: entry.tag for entry in found if entry.tag}
        return self._tags[prefix]
