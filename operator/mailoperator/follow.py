"""Noticing that manifests changed, by looking at them: no inotify, so that it works on any file system."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from mailoperator.manifests import files

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]


class Follower:
    """`changed()` is asked every second or so; it is true once a change, and only when the files have come to rest.

    At rest means the same at two looks: an editor, or a shell's `cat > file`, is not caught half-way.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._looked = self._used = self._stamp()
        self._content = self._digest()

    def changed(self) -> bool:
        stamp = self._stamp()
        at_rest, self._looked = stamp == self._looked, stamp
        if stamp == self._used or not at_rest:
            return False
        self._used, before = stamp, self._content
        self._content = self._digest()
        return self._content != before

    def _files(self) -> list[Path]:
        found: list[Path] = []
        for path in self._paths:
            with contextlib.suppress(OSError):
                found += files(path)
        return found

    def _stamp(self) -> Stamp:
        stamps = []
        for file in self._files():
            with contextlib.suppress(OSError):
                stat = file.stat()
                stamps.append((str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(stamps)

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for file in self._files():
            with contextlib.suppress(OSError):
                data = file.read_bytes()
                digest.update(f"{file}\0{len(data)}\0".encode() + data)
        return digest.digest()
