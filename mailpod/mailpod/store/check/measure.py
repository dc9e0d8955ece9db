"""What an account takes in the bucket, by kind, and how much of it is alive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailpod.store.check.account import AccountReport
from mailpod.store.objects import Entry


@dataclass(frozen=True, slots=True)
class Kind:
    """Objects of one kind: how many, their bytes, and how many of those are alive."""

    objects: int = 0
    bytes: int = 0
    live: int = 0

    @property
    def dead(self) -> int:
        return self.bytes - self.live


@dataclass(frozen=True, slots=True)
class Size:
    """Of one account. `mail`: bytes of live messages, those that copies share counted once.

    Alive are, of the log and of packs, the bytes of live messages, and the log's own lines while they are there; of
    pages, what a readable checkpoint or a kept commit names; checkpoints all.
    """

    messages: int
    mail: int
    log: Kind
    packs: Kind
    pages: Kind
    checkpoints: Kind
    other: Kind

    @property
    def kinds(self) -> dict[str, Kind]:
        return {
            "log": self.log,
            "packs": self.packs,
            "pages": self.pages,
            "checkpoints": self.checkpoints,
            "other": self.other,
        }

    @property
    def total(self) -> Kind:
        found = self.kinds.values()
        return Kind(sum(k.objects for k in found), sum(k.bytes for k in found), sum(k.live for k in found))


async def measure(report: AccountReport) -> Size:
    """From a check of the account, which may be without bodies. Raises StorageError."""
    found, live = report.found, report.live
    named = await report.index.references() | report.walk.copied_pages | live.pages
    in_log = sum(live.bytes_in(key) for key in live.objects if key.startswith("log/"))
    in_packs = sum(live.bytes_in(key) for key in live.objects if key.startswith("pack/"))
    log = _kind(found.commits.values(), 0)
    lines = sum(report.walk.lines.values())
    return Size(
        live.messages,
        live.bytes,
        Kind(log.objects, log.bytes, min(in_log + lines, log.bytes)),
        _kind(found.packs.values(), in_packs),
        _kind(found.pages.values(), sum(entry.size for name, entry in found.pages.items() if name in named)),
        _kind(found.checkpoints.values()),
        _kind(found.strange, 0),
    )


def _kind(entries: Iterable[Entry], live: int | None = None) -> Kind:
    sizes = [entry.size for entry in entries]
    return Kind(len(sizes), sum(sizes), sum(sizes) if live is None else live)
