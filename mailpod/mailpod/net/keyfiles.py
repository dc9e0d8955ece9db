"""Files of keys in the folders that Kubernetes mounts Secrets at: `KEYS/00/example.org.crt` and `.key`, and the like.

- A kubelet changes a whole folder at once, by swapping the symlink `..data`: it is followed once a look, so that a
  certificate and its key are of one moment.
- A folder that changes under the look is told apart from one that is empty: it says nothing about its pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DATA: Final = "..data"
_SUFFIXES: Final = frozenset({".crt", ".key"})
_LONGEST_LABEL: Final = 200


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and its key. `domain` is what the files are named by; empty for files given one by one."""

    name: str
    """The same for this pair whatever its files hold."""
    domain: str
    certificate: Path
    key: Path


def pairs_in(keys: Path) -> tuple[list[Pair], set[str]]:
    """Every pair below `keys`, and the folders that could not be read this time (their names, as in `folder_of`)."""
    found: list[Pair] = []
    unread: set[str] = set()
    for folder in folders(keys):
        try:
            found += _pairs_of(folder)
        except OSError:
            unread.add(folder.name)
    return found, unread


def folder_of(pair: Pair) -> str:
    """Which of the folders a pair is of."""
    return pair.name.partition("/")[0]


def label_of(domain: str) -> str:
    """What a domain's files are named by: mailoperator.keysecrets.label_of, which a pod cannot import."""
    if len(domain) <= _LONGEST_LABEL:
        return domain
    return f"{domain[:160]}_{hashlib.sha256(domain.encode()).hexdigest()[:32]}"


def folders(keys: Path) -> Iterator[Path]:
    """Raises OSError where `keys` itself cannot be read."""
    yield from (folder for folder in sorted(keys.iterdir()) if folder.is_dir() and not folder.name.startswith("."))


def moment_of(folder: Path) -> Path:
    """Where the files of one moment are, all of them. Raises OSError."""
    link = folder / _DATA
    return link.resolve(strict=True) if link.is_symlink() else folder


def _pairs_of(folder: Path) -> Iterator[Pair]:
    """A pair is there when one of its files is: half a pair is a fault to tell, not a certificate that went."""
    moment = moment_of(folder)
    domains = {file.stem for file in moment.iterdir() if file.suffix in _SUFFIXES and not file.name.startswith(".")}
    for domain in sorted(domains):
        yield Pair(f"{folder.name}/{domain}", domain, moment / f"{domain}.crt", moment / f"{domain}.key")
