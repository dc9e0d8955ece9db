"""Listings of a folder bucket, as S3 gives them: ascending by the bytes of whole keys. Blocking.

A directory `a` sorts as `a/`, so that `a-1` comes before what is in it and `a0` after. Python orders str by code
point, which is the order of their UTF-8 bytes. Files and directories that vanish meanwhile are left out.
"""

# ruff: noqa: PTH116
# (a Path costs more than the call that it is made for)

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from itertools import islice

from mailpod.store.journal_file import NAME as JOURNAL
from mailpod.store.journal_file import listed
from mailpod.store.objects import Entry


class TooMany(Exception):
    """The listing met more names than its budget."""


class _Budget:
    """Counts the names met in one listing; None is no limit."""

    def __init__(self, names: int | None) -> None:
        self._left = names

    def spend(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise TooMany


def entries(root: str, folder: str, after: str, limit: int | None, budget: int | None = None) -> list[Entry]:
    """The first `limit` files under `folder` ("" is all) whose key is above `after`. Raises TooMany, OSError."""
    prefix = f"{folder}/" if folder else ""
    return list(islice(_files(root, prefix, after, _Budget(budget)), limit))


def folders(root: str, folder: str, budget: int | None = None) -> list[str]:
    """The names of the directories in `folder` that hold a file, at any depth. Raises TooMany, OSError."""
    prefix, left = (f"{folder}/" if folder else ""), _Budget(budget)
    names = (name for name in _names(root, prefix, "", left) if name.endswith("/"))
    return sorted(name[:-1] for name in names if next(_files(root, prefix + name, "", left), None) is not None)


def _files(root: str, prefix: str, after: str, budget: _Budget) -> Iterator[Entry]:
    """Files below `prefix`, in order, each looked at only when it is asked for."""
    journal = listed(f"{root}/{prefix}{JOURNAL}")  # first, as records go from there to files
    heap = list({*_names(root, prefix, after, budget), *(name for name in journal if prefix + name > after)})
    heapq.heapify(heap)  # cheaper than sorting where only the first few are wanted
    while heap:
        name = heapq.heappop(heap)
        if name.endswith("/"):
            yield from _files(root, prefix + name, after, budget)
            continue
        try:
            status = os.stat(f"{root}/{prefix}{name}")
        except FileNotFoundError:
            if (found := journal.get(name)) is not None:
                yield Entry(prefix + name, found.length, found.time / 1e9, f"{found.time:x}-{found.length:x}")
            continue
        tag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"  # content is replaced with its file
        yield Entry(prefix + name, status.st_size, status.st_mtime, tag)


def _names(root: str, prefix: str, after: str, budget: _Budget) -> Iterator[str]:
    """What is directly in a directory and may hold keys above `after`: names, with `/` for a directory."""
    try:
        found = os.scandir(f"{root}/{prefix}")
    except (FileNotFoundError, NotADirectoryError):
        return
    with found:
        for item in found:
            budget.spend()
            if (not prefix and item.name.startswith(".")) or item.name == JOURNAL:
                continue
            name = f"{item.name}/" if item.is_dir(follow_symlinks=False) else item.name
            key = prefix + name
            if key > after or (name.endswith("/") and after.startswith(key)):
                yield name
