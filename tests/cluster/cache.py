"""What is made once and kept: binaries, the base image, the project's images, and the folders of running clusters.

- A thing's name holds its version and a hash of its recipe, so a change makes a new one and never spoils the old.
- It is made under a lock, in a folder beside, and renamed into place: who finds it finds it whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def home() -> Path:
    """The folder: $MAILPOD_CLUSTER_CACHE, else mailpod/cluster in $XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("MAILPOD_CLUSTER_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "mailpod" / "cluster"


def digest(*parts: str | bytes) -> str:
    """A short hash of a recipe."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(b"%d:" % len(data) + data)
    return whole.hexdigest()[:12]


def made(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name`; the first time, `make` fills it. An error in `make` leaves nothing under that name."""
    folder = home() / name
    if folder.exists():
        return folder
    with locked(name):
        if not folder.exists():  # else another process has made it meanwhile
            unfinished = home() / "unfinished" / name
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished.rename(folder)
    return folder


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Alone among all processes of this machine that ask for the same name."""
    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name.replace("/", "-")).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
