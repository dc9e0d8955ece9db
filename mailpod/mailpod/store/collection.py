"""Garbage collection of one account (STORE.md rules 9 to 13).

What is alive is read from the bucket, never taken from a pod's memory:

- The *anchor* is the newest checkpoint that is older than GRACE in bucket time. It and every one above it is kept, and
  in any case everything down to the second newest that is *verified*: each object that it names is in a listing. What
  any of these names is kept: pages, the pages in their tables, packs and commits that hold bytes of live messages
  (`held` in the root, so that no page of messages needs to be read). A checkpoint below the anchor was superseded more
  than GRACE ago, not just made so long ago: nobody reads from it, or makes a checkpoint of its pages, any more.
- Commits above the older of anchor and second are kept, and what commits after the second name: pages of a COPY, packs.
- What a checkpoint below those names, and nothing above, is deleted with it, the checkpoint last: a collector that is
  killed leaves it to the next one. What nothing ever named (a lost race, a crash) goes after seven days: no commit
  refers to an object of its own that is older than a day, and no checkpoint to a page older than GRACE/2.
- Pages of search postings are kept as others are, but none of them has to be there (FORMAT.md, "Search").
- Deciding and deleting may be far apart. What is garbage once stays so: names are used once, a COPY takes its bytes
  from where the source has them when it is evaluated, checkpoints take pages from the newest one only.

Cost, for whatever size of mailbox: four LISTs (one more a 1,000 pages, packs or commits), a GET for each checkpoint
younger than GRACE and for each that is deleted, their tables once, and the commits after the second. Each checkpoint is
so read a few times in its life, and no page of messages ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..logs import event
from .buckettime import BucketClock
from .checkpoint import Root, decode_root
from .homes import FIRST_PACK
from .names import checkpoint_sequence, log_key
from .objects import Entry, NotFound, ObjectStore
from .ops import Append, Appends, BadCommit, Copy, Header, PageRef, Relocate, UnknownOperation, decode_header
from .page import BadPage, decode_table
from .settings import StoreSettings

_BATCH = 1000  # keys of one DELETE
_PAST = 256  # superseded checkpoints that one collection takes away, or as many as it keeps
_HELD = 8  # newest checkpoints that stay in memory until two of them are verified

LoadTable = Callable[[PageRef], Awaitable[list[PageRef]]]


@dataclass(slots=True)
class Collected:
    """What a collection did: objects deleted, by kind. `refused` says why nothing could be.

    `kept` checkpoints were read and stay; `broken` are sequences of those among the newest that name what is not there;
    `dead` keys of packs that are mostly dead.
    """

    commits: int = 0
    pages: int = 0
    packs: int = 0
    checkpoints: int = 0
    refused: str = ""
    kept: int = 0
    broken: list[int] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)


class _Refused(Exception):
    """The account cannot be judged: nothing is deleted."""


async def collect(
    objects: ObjectStore,
    prefix: str,
    *,
    clock: BucketClock,
    settings: StoreSettings,
    load_table: LoadTable | None = None,
) -> Collected:
    """Delete what is garbage in the account at `prefix`. Can be killed anywhere, and run by several at once.

    Raises StorageError, Ambiguous: then part is done. `load_table` may answer from memory: a table never changes.
    """
    work = _Collection(objects, prefix, settings, load_table)
    try:
        return await work.run(await clock.now())
    except _Refused as error:
        event("store.collect.refused", level="error", account=prefix, why=str(error))
        work.out.refused = str(error)
    except NotFound:  # another collector, or a purge, was faster
        work.out.refused = "something went meanwhile"
    return work.out


@dataclass(slots=True)
class _Read:
    """A checkpoint that was read. `names` are keys without the account's prefix; `search` those that it can do without:
    they are kept as the others are, but a checkpoint is whole where they are not there."""

    sequence: int
    root: Root
    names: set[str]
    search: set[str]

    @property
    def all_names(self) -> set[str]:
        return self.names | self.search


class _Collection:
    def __init__(
        self, objects: ObjectStore, prefix: str, settings: StoreSettings, load_table: LoadTable | None
    ) -> None:
        self._objects = objects
        self._prefix = prefix
        self._settings = settings
        self._load_table = load_table or self._read_table
        self._tables: dict[str, list[PageRef]] = {}
        self.out = Collected()

    async def run(self, now: float) -> Collected:
        entries = await self._objects.list(f"{self._prefix}checkpoint/")
        grace = self._settings.grace
        anchor = _anchor(entries, now, grace)
        if anchor is None or len(entries) < 2:
            return self.out  # nothing is old enough
        at = entries.index(anchor)
        below = entries[max(at + 1, 2) :]
        kept = [*entries[: max(at + 1, 2)], *(entry for entry in below if _is_young(entry, now, grace))]
        below = [entry for entry in below if not _is_young(entry, now, grace)]
        self.out.kept = len(kept)
        newest, named = await self._read_all(kept)
        listed = await self._listed()  # after the roots: what they name was there before them
        verified = self._verified(newest, listed)
        doubtful = kept[_HELD:]  # read already, and named; a busy account has thousands of them
        while len(verified) < 2 and (doubtful or below):
            read = await self._read((doubtful or below).pop(0))
            named |= read.all_names if read is not None else set()
            verified += self._verified([read], listed)
        if len(verified) < 2:
            return self.out
        past = below[-max(_PAST, len(kept)) :]
        second = verified[1].sequence
        named |= _named_by_commits(await self._commits_after(second, verified[0].sequence))
        self.out.dead = _dead_packs(verified[0].root, listed, self._settings)
        await self._delete(past, named, listed, _last_commit(checkpoint_sequence(anchor.key), second), now)
        return self.out

    # -- reading

    async def _read_all(self, entries: Sequence[Entry]) -> tuple[list[_Read | None], set[str]]:
        """The first of these checkpoints, and what all of them name."""
        newest, named = list[_Read | None](), set[str]()
        for entry in entries:
            read = await self._read(entry)
            named |= read.all_names if read is not None else set()
            if len(newest) < _HELD:
                newest.append(read)
        return newest, named

    async def _read(self, entry: Entry) -> _Read | None:
        """None for one that is damaged: it is not trusted, and what it alone names goes in its time."""
        try:
            root = decode_root(await self._objects.get(entry.key))
        except NotFound:
            raise
        except BadPage as error:
            event("store.checkpoint.damaged", key=entry.key, error=str(error))
            self.out.broken.append(checkpoint_sequence(entry.key))
            return None
        except UnknownOperation as error:
            raise _Refused(f"{entry.key}: {error}") from error
        if root.held is None:
            raise _Refused(f"{entry.key} does not say where its messages are")
        return _Read(root.seq, root, await self._names(root), _search_names(root))

    async def _names(self, root: Root) -> set[str]:
        refs = [ref for box in root.boxes for ref in (*box.pages, *box.state)] + [ref for _, ref in root.deliveries]
        for table in [ref for ref in refs if ref.table]:
            if table.id not in self._tables:
                try:
                    self._tables[table.id] = await self._load_table(table)
                except (NotFound, BadPage):
                    self._tables[table.id] = []  # a checkpoint that names it is not whole
            refs.extend(self._tables[table.id])
        names = {f"page/{ref.id}" for ref in refs}
        for number, key, _, _ in root.held or ():
            names.add(key if number >= FIRST_PACK else f"log/{number:020d}")
        return names

    async def _read_table(self, ref: PageRef) -> list[PageRef]:
        return decode_table(await self._objects.get(f"{self._prefix}page/{ref.id}"), ref.sum)

    async def _listed(self) -> dict[str, Entry]:
        """All pages, packs and commits, by key without the account's prefix."""
        out: dict[str, Entry] = {}
        for kind in ("page/", "pack/", "log/"):
            for entry in await self._objects.list(self._prefix + kind):
                out[entry.key[len(self._prefix) :]] = entry
        return out

    def _verified(self, kept: Iterable[_Read | None], listed: dict[str, Entry]) -> list[_Read]:
        """STORE.md rule 9: those of which every object is there, the newest first."""
        out = []
        for each in kept:
            if each is None or each.sequence in self.out.broken:
                continue
            missing = _missing(each.names, listed)
            if not missing:
                out.append(each)
                continue
            event(
                "store.checkpoint.incomplete",
                level="error",
                account=self._prefix,
                sequence=each.sequence,
                missing=missing[:5],
            )
            self.out.broken.append(each.sequence)
        return out

    async def _commits_after(self, second: int, newest: int) -> list[Header]:
        out: list[Header] = []
        while True:
            key = log_key(self._prefix, second + 1 + len(out))
            try:
                data, size = await self._objects.get_head(key, self._settings.header_read_bytes)
                if b"\n" not in data and len(data) < size:
                    data = await self._objects.get(key)
            except NotFound:
                break
            try:
                out.append(decode_header(memoryview(data)[: data.find(b"\n")]))
            except (BadCommit, UnknownOperation) as error:
                raise _Refused(f"{key}: {error}") from error
        if second + len(out) < newest:
            raise _Refused(f"commit {second + 1 + len(out)} is missing, below checkpoint {newest}")
        return out

    # -- deleting

    async def _delete(
        self, past: Sequence[Entry], named: set[str], listed: dict[str, Entry], last: int, now: float
    ) -> None:
        dropped = _unreferenced(listed.values(), self._prefix, named, now, self._settings.unreferenced_age)
        for entry in past:
            root = await self._read_past(entry)
            if root is not None:
                dropped |= {name for name in root.all_names if not name.startswith("log/")}
        dropped |= {name for name in listed if name.startswith("log/") and int(name[4:]) <= last}
        garbage = sorted(name for name in dropped - named if name in listed)
        await self._remove(self._prefix + name for name in garbage)
        await self._remove(entry.key for entry in reversed(past))
        self.out.commits = sum(name.startswith("log/") for name in garbage)
        self.out.pages = sum(name.startswith("page/") for name in garbage)
        self.out.packs = sum(name.startswith("pack/") for name in garbage)
        self.out.checkpoints = len(past)

    async def _read_past(self, entry: Entry) -> _Read | None:
        try:
            return await self._read(entry)
        except (NotFound, _Refused):
            return None  # what it alone names goes after seven days

    async def _remove(self, keys: Iterable[str]) -> None:
        batch = list(keys)
        for start in range(0, len(batch), _BATCH):
            await self._objects.delete(batch[start : start + _BATCH])


def _search_names(root: Root) -> set[str]:
    return {f"page/{ref.id}" for box in root.boxes for ref in box.search_pages()}


def _anchor(entries: Sequence[Entry], now: float, grace: float) -> Entry | None:
    """The newest checkpoint older than `grace`; `entries` have the newest first. Rule 12."""
    return next((entry for entry in entries if not _is_young(entry, now, grace)), None)


def _is_young(entry: Entry, now: float, grace: float) -> bool:
    """In bucket time. Young ones below the anchor landed late, and are kept as all young ones are. Rule 12."""
    return now - entry.modified <= grace


def _missing(names: Iterable[str], listed: dict[str, Entry]) -> list[str]:
    """What a checkpoint names and is not there. Rule 9."""
    return sorted(name for name in names if name not in listed)


def _last_commit(anchor: int, second: int) -> int:
    """Up to here commits may go, if they hold nothing that is alive. Rule 12."""
    return min(anchor, second)


def _named_by_commits(commits: Iterable[Header]) -> set[str]:
    """What commits refer to beside themselves: packs, other commits, pages of a COPY. Rule 12."""
    names = set[str]()
    for commit in commits:
        for op in commit.ops:
            if isinstance(op, Append):
                names.add(op.rec.loc[0])
            elif isinstance(op, Appends):
                names.add(op.key)
            elif isinstance(op, Copy):
                names.update(record.loc[0] for record in op.recs)
                names.update(f"page/{ref.id}" for ref in op.pages)
            elif isinstance(op, Relocate):
                names.update(move[3] for move in op.moves)
    return names - {""}


def _unreferenced(entries: Iterable[Entry], prefix: str, named: set[str], now: float, age: float) -> set[str]:
    """Pages and packs that nothing names and that are so old that nothing will. Rule 10."""
    old = (entry.key[len(prefix) :] for entry in entries if now - entry.modified > age)
    return {name for name in old if name not in named and not name.startswith("log/")}


def _dead_packs(root: Root, listed: dict[str, Entry], settings: StoreSettings) -> list[str]:
    """Packs of which so little is alive that the rest is worth writing again. Copies count twice: they are spared."""
    return [
        key
        for number, key, _, size in root.held or ()
        if number >= FIRST_PACK and key in listed and size < (1 - settings.pack_dead) * listed[key].size
    ]
