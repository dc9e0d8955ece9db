"""The pair of keys that each domain signs with now, from the folders that the operator's key Secrets are mounted at.

    KEYS/07/example.org.dkim.json                              which pair is in use (mailoperator.dkim)
    KEYS/07/mp20261123r._domainkey.example.org.dkim            its RSA key, PKCS #8 in PEM
    KEYS/07/mp20261123e._domainkey.example.org.dkim            its Ed25519 key

- A domain's keys change as a whole: what cannot be read leaves the pair in use, and is told once.
- Which pair signs is the operator's decision alone: it knows what the DNS has.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from mailpod import logs, metrics
from mailpod.dkim.signing import SigningKey, load_key
from mailpod.net.keyfiles import folders, label_of, moment_of

_PURPOSE: Final = "mailpod srs 1"
_STATE: Final = ".dkim.json"
Stamp: TypeAlias = tuple[int, ...]


class _Pair(msgspec.Struct, frozen=True):
    id: str
    made: str | None = None
    used: str | None = None
    retired: str | None = None


class _State(msgspec.Struct, frozen=True):
    """mailoperator.dkim.dump_state: pairs, oldest first."""

    pairs: tuple[_Pair, ...]


@dataclass(frozen=True, slots=True)
class _Loaded:
    folder: str
    stamp: Stamp
    keys: tuple[SigningKey, ...]
    used: float  # since when they are, in Unix seconds
    next: float  # when their successors were made; 0: there are none
    secrets: tuple[bytes, ...]


class SigningKeys:
    """Keys by domain, read again when their files change."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` has the folders with the files; None: there are no keys."""
        self._folder = folder
        self._complaints: dict[str, str] = {}
        self._loaded: dict[str, _Loaded] = {}
        self.reload()

    def of(self, domain: str) -> tuple[SigningKey, ...]:
        """The RSA and the Ed25519 key of a domain (A-labels); empty where there are none."""
        loaded = self._loaded.get(label_of(domain))
        return loaded.keys if loaded else ()

    def secrets(self, domain: str) -> tuple[bytes, ...]:
        """Keys by which the domain knows its rewritten senders again, the one in use first; empty without any pair."""
        loaded = self._loaded.get(label_of(domain))
        return loaded.secrets if loaded else ()

    def reload(self) -> None:
        """Read changed files again."""
        self._use(self._read())

    async def follow(self, seconds: float) -> None:
        """`reload` every `seconds`, for ever."""
        while True:
            await asyncio.sleep(seconds)
            self._use(await asyncio.to_thread(self._read))

    def _use(self, found: dict[str, _Loaded]) -> None:
        for label in self._loaded.keys() - found.keys():
            metrics.dkim_forgotten(label)
        for label, loaded in found.items():
            if self._loaded.get(label) is not loaded:
                metrics.dkim_keys(label, loaded.used, loaded.next)
        self._loaded = found

    def _read(self) -> dict[str, _Loaded]:
        if self._folder is None:
            return {}
        try:
            there = list(folders(self._folder))
        except OSError as error:
            self._complain(str(self._folder), error)
            return self._loaded
        found: dict[str, _Loaded] = {}
        for folder in there:
            try:
                found |= self._keys_in(folder.name, moment_of(folder))
            except OSError:  # it changes under the look: the next one sees it whole
                found |= {label: known for label, known in self._loaded.items() if known.folder == folder.name}
        return found

    def _keys_in(self, folder: str, moment: Path) -> dict[str, _Loaded]:
        found: dict[str, _Loaded] = {}
        for file in moment.iterdir():
            if not file.name.endswith(_STATE) or file.name.startswith("."):
                continue
            label = file.name.removesuffix(_STATE)
            known = self._loaded.get(label)
            try:
                found[label] = _loaded(folder, label, file, known)
                self._complaints.pop(label, None)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                self._complain(label, error)
                if known:
                    found[label] = known
        return found

    def _complain(self, what: str, error: Exception) -> None:
        """Once a fault, not once a look."""
        text = f"{type(error).__name__}: {error}"
        if self._complaints.get(what) != text:
            self._complaints[what] = text
            logs.event("dkim.keys_unreadable", level="error", keys=what, error=text)


def _loaded(folder: str, label: str, state: Path, known: _Loaded | None) -> _Loaded:
    # A key never changes under its selector: the state alone tells which keys are in use.
    seen = state.stat()
    stamp = (seen.st_mtime_ns, seen.st_ino, seen.st_size)
    if known and known.stamp == stamp and known.folder == folder:
        return known
    pairs = msgspec.json.decode(state.read_bytes(), type=_State).pairs
    used = next((pair for pair in reversed(pairs) if pair.used is not None and pair.retired is None), None)
    selectors = (f"{used.id}r", f"{used.id}e") if used else ()

    def file(selector: str) -> Path:
        return state.with_name(f"{selector}._domainkey.{label}.dkim")

    keys = tuple(load_key(selector, file(selector).read_bytes()) for selector in selectors)
    after = pairs[-1] if pairs and pairs[-1].used is None else None
    since, waiting = _seconds(used.used if used else None), _seconds(after.made if after else None)
    return _Loaded(folder, stamp, keys, since, waiting, tuple(_secrets(keys, pairs, file)))


def _secrets(keys: Sequence[SigningKey], pairs: Sequence[_Pair], file: Callable[[str], Path]) -> Iterator[bytes]:
    """Of the pair in use first; the others are retired, or in use for pods that have looked since."""
    for key in keys:
        yield from key.secrets(_PURPOSE)
    for selector in (f"{pair.id}e" for pair in reversed(pairs)):
        if selector not in [key.selector for key in keys] and (there := file(selector)).exists():
            yield from load_key(selector, there.read_bytes()).secrets(_PURPOSE)


def _seconds(written: str | None) -> float:
    return datetime.datetime.fromisoformat(written).timestamp() if written else 0.0
