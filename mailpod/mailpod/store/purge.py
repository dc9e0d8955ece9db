"""Erasing closed accounts, one GRACE after their close (STORE.md rule 15). Can be killed anywhere, and begun again.

- Nothing is erased but what a record names whose absent incarnation is there and older than GRACE in bucket time.
- Checkpoints go first, the newest last, then commits from the first on, the close commit last: at every moment a pod
  that opens what is left finds it closed or missing, never an earlier state to append to.
- `erase` removes what a listing does not show (old versions, uploads); the record goes after it, and last.
- `incarnation/` stays, so that no later account has a UIDVALIDITY that this one had.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from mailpod.logs import event
from mailpod.store import incarnations
from mailpod.store.closing import PurgeRecord, read_record
from mailpod.store.objects import Entry, NotFound, ObjectStore
from mailpod.store.shares import SHARES_PREFIX

_BATCH = 1000  # keys of one LIST, and of one DELETE

Erase = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Purge:
    """A purge that a listing shows. `folder` is `directory/<domain>/<local part, encoded>/`."""

    folder: str
    number: int
    closed: float | None  # bucket time of the absent incarnation; None: the close is not finished

    @property
    def record_key(self) -> str:
        return f"{self.folder}purge/{self.number:010d}"

    def account_prefix(self, record: PurgeRecord) -> str:
        return f"accounts/{self.folder.removeprefix('directory/')}{record.id}/"


def pending(listing: Iterable[Entry]) -> list[Purge]:
    """The purges that a listing of `directory/<domain>/`, or of more, shows."""
    times: dict[str, float] = {}
    records: list[tuple[str, int]] = []
    for item in listing:
        folder, _, number = item.key.rpartition("purge/")
        if folder and number.isdigit():
            records.append((folder, int(number)))
        elif "/incarnation/" in item.key:
            times[item.key] = item.modified
    return [Purge(folder, n, times.get(f"{folder}incarnation/{n + 1:010d}")) for folder, n in records]


async def purge(objects: ObjectStore, found: Purge, *, now: float, grace: float, erase: Erase | None = None) -> bool:
    """Erase one account if its time has come; whether nothing is left of it. `now` is bucket time.

    Raises StorageError, and what `erase` raises: then part is done, and the next call does the rest.
    """
    if found.closed is None or now - found.closed < grace:
        return False
    try:
        record = await read_record(objects, found.record_key)
        closed = await incarnations.read(objects, f"{found.folder}incarnation/{found.number:010d}")
        after = await incarnations.read(objects, f"{found.folder}incarnation/{found.number + 1:010d}")
    except NotFound:
        return False  # another was faster
    if closed.absent or closed.id != record.id or not after.absent or not record.id:
        event("purge.refused", level="error", key=found.record_key, reason="not the incarnation that was closed")
        return False
    prefix = found.account_prefix(record)
    await _erase_objects(objects, prefix)
    hints = await objects.list(found.folder.replace("directory/", SHARES_PREFIX, 1))
    # what was shared with the account; a later one of this address has hints of its own
    await _delete(objects, [hint.key for hint in hints if hint.modified < found.closed])
    if erase is not None:
        await erase(prefix)
    await objects.delete([found.record_key])
    return True


async def _erase_objects(objects: ObjectStore, prefix: str) -> None:
    checkpoints = [entry.key for entry in await objects.list(f"{prefix}checkpoint/")]
    await _delete(objects, checkpoints[:0:-1])  # newest sorts first
    await _delete(objects, checkpoints[:1])
    commits = [entry.key for entry in await objects.list(f"{prefix}log/")]
    for part in (commits[:1], commits[1:-1], commits[1:][-1:]):
        await _delete(objects, part)
    await _delete(objects, [entry.key for entry in await objects.list(prefix)])


async def _delete(objects: ObjectStore, keys: Sequence[str]) -> None:
    for start in range(0, len(keys), _BATCH):
        await objects.delete(keys[start : start + _BATCH])
