"""An account's objects as one listing shows them, and reading them with a bound on what is in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from mailpod.store.names import checkpoint_sequence
from mailpod.store.objects import Entry, ObjectStore

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE: Final = 16
"""Requests in flight."""


@dataclass(slots=True)
class Contents:
    """What lies below `accounts/…/<incarnation>/`. Names in `pages` and `packs` are ids."""

    prefix: str
    commits: dict[int, Entry] = field(default_factory=dict)
    checkpoints: dict[int, Entry] = field(default_factory=dict)
    pages: dict[str, Entry] = field(default_factory=dict)
    packs: dict[str, Entry] = field(default_factory=dict)
    strange: list[Entry] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not self.commits and not self.checkpoints

    @property
    def head(self) -> int:
        """The last commit that the listing shows, or the newest checkpoint's where that is later."""
        return max([*self.commits, *self.checkpoints], default=0)

    def size(self, key: str) -> int | None:
        """Of the object at a key relative to the account (`log/…`, `pack/…`); None where there is none."""
        kind, _, name = key.partition("/")
        if kind == "log" and name.isdigit():
            found = self.commits.get(int(name))
        else:
            found = self.packs.get(name) if kind == "pack" else None
        return found.size if found is not None else None


async def contents(objects: ObjectStore, prefix: str) -> Contents:
    """List an account: kind by kind, since SeaweedFS orders a listing by folder. Raises StorageError."""
    found = Contents(prefix)
    for entry in await objects.list(prefix):
        kind, _, name = entry.key.removeprefix(prefix).partition("/")
        if kind == "log" and _is_number(name):
            found.commits[int(name)] = entry
        elif kind == "checkpoint" and _is_number(name):
            found.checkpoints[checkpoint_sequence(entry.key)] = entry
        elif kind == "page" and _is_id(name):
            found.pages[name] = entry
        elif kind == "pack" and _is_id(name):
            found.packs[name] = entry
        else:
            found.strange.append(entry)
    return found


def _is_number(name: str) -> bool:
    return len(name) == 20 and name.isascii() and name.isdigit()


def _is_id(name: str) -> bool:
    return len(name) == 24 and set(name) <= set("0123456789abcdef")


async def each(do: Callable[[T], Awaitable[R]], items: Iterable[T], *, at_once: int = AT_ONCE) -> list[R]:
    """`do` for every item, some at once; the results in their order. Raises what the first failure raised."""
    slots = asyncio.Semaphore(at_once)

    async def one(item: T) -> R:
        async with slots:
            return await do(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers as people write them: `3-5, 9`; long lists are cut."""
    parts: list[str] = []
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            first, last = numbers[start], numbers[at - 1]
            parts.append(str(first) if first == last else f"{first}-{last}")
            start = at
    return ", ".join(parts[:20]) + (f" and {len(parts) - 20} more ranges" if len(parts) > 20 else "")
