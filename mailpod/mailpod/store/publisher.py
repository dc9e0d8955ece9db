"""The directory's writing side: makes the bucket say what it should, by comparison.

- A pass reads what is there and writes only what differs, so a second pass writes nothing, and one killed anywhere is
  finished by the next. What this process read or wrote is not read again while its ETag in a listing is the same.
- A mailbox's entry is written only after its account is open: incarnation and commit 1.
- An entry of a newer publisher, or of a newer generation of the same owner, is left alone (OPERATOR.md rule 34).
- Whose entries were withdrawn, or account closed, gets none again from a pass that was planned before (departures.py).
- Withdrawn means that the address is gone, and its mail stays. Only `close` ends an account.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final, TypeVar
from urllib.parse import unquote

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailpod.clock import Clock
from mailpod.logs import event
from mailpod.store import incarnations
from mailpod.store import objects as bucket
from mailpod.store.closing import close_account, finish_close, read_record
from mailpod.store.departures import Departures
from mailpod.store.entries import (
    WRITER,
    BadEntry,
    DomainEntry,
    Entry,
    MailboxEntry,
    TooNew,
    Verifier,
    entry_key,
    public_key,
    seal,
)
from mailpod.store.incarnations import AccountRef, Incarnation
from mailpod.store.lifecycle import open_account
from mailpod.store.names import address_key, purge_prefix
from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.publishing import Pass, Published
from mailpod.store.purge import Purge, pending
from mailpod.store.withdrawal import brake, continues, is_over, settled

R = TypeVar("R")
T = TypeVar("T")
_AT_ONCE: Final = 32  # requests in flight
_YOUNG: Final = 60.0  # seconds since an entry was published
_LATELY: Final = 30.0  # seconds, for which a pass over everything is as good as another look at one entry
_ENTRIES: Final = ("/address", "/!domain")


class Publisher:
    """Publishes entries into one bucket. Every call can be repeated; between calls only what was read is remembered."""

    def __init__(self, objects: ObjectStore, *, signing_key: bytes, clock: Clock, rng: random.Random) -> None:
        self._objects = objects
        self._key = Ed25519PrivateKey.from_private_bytes(signing_key)
        self._verifier = Verifier([public_key(signing_key)])
        self._clock = clock
        self._rng = rng
        self._known: dict[str, tuple[str, Entry]] = {}  # key -> ETag, what the object with it holds
        self._owned: dict[str, set[str]] = {}  # owner -> keys that this process has seen as its
        self._departures = Departures(clock)
        self._looked = float("-inf")  # Clock.elapsed, when the last pass over everything began
        self.purges: list[Purge] = []  # as the last pass over everything found them

    # -- passes

    async def publish(self, entries: Iterable[Entry], *, domains: Collection[str] | None = None) -> Published:
        """Make `domains` (None: every domain in the bucket, and those of `entries`) have exactly these entries, now.

        `version`, `incarnation` and `incarnation_number` of an entry are this method's to set. Raises StorageError and
        Ambiguous: then part is done, and the next call does the rest.
        """
        wanted = {entry_key(entry): entry for entry in entries}
        planned = self._clock.elapsed()
        seen = await self._look(await self._domains(wanted.values()) if domains is None else sorted(domains), planned)
        await self._withdraw(seen.present - seen.newer - wanted.keys(), seen)
        await self._bring_all(wanted, seen)
        return seen.published()

    async def compare(
        self,
        entries: Iterable[Entry],
        *,
        approved: str | None = None,
        living: Callable[[str], bool] = lambda owner: False,
        planned: float | None = None,
    ) -> Published:
        """As `publish`, of a set that may be short: what is missed is orphaned first, and too many of them stop it.

        What was published less than a minute ago is left alone, as the set may be older than that; so is who was
        withdrawn since `planned` (Clock.elapsed, before the set was gathered; None: now). `approved` is the
        approval that an earlier Brake asked for. Purges that are due are in `purges` afterwards. Of several entries for
        one address its present owner's is taken, else the first (OPERATOR.md rule 39). What belongs to somebody without
        any among these goes to nobody here: `publish_some` looks closer, and who is not `living` loses it in time.
        """
        every = list(entries)
        began = self._clock.elapsed()
        planned = began if planned is None else planned
        seen = await self._look(await self._domains(every), planned)
        wanted = settled(every, seen.found)
        owners = {entry.owner for entry in every}  # who has entries here, and wants no others
        lost = {key for key in wanted.keys() & seen.found.keys() if seen.found[key].owner not in {"", *owners}}
        missing = {
            key for key in lost if not (living(seen.found[key].owner) or continues(wanted[key], seen.found[key]))
        }
        unwanted = seen.present - seen.newer - wanted.keys() | missing
        gone = {key for key in unwanted if not self._is_young(seen.found.get(key))}
        missed = {key for key in gone if key not in seen.found or not seen.found[key].orphaned}
        if stop := brake(missed, len(seen.present), approved):
            return Published(newer=tuple(sorted(seen.newer)), brake=stop)
        self.purges = seen.purges
        await self._bring_all(
            {k: e for k, e in wanted.items() if k not in lost and not self._is_young(seen.found.get(k))}, seen
        )
        await self._let_go(gone, seen)
        self._departures.forget()
        self._looked = began
        return seen.published()

    async def publish_some(
        self,
        entries: Iterable[Entry],
        *,
        living: Callable[[str], bool] = lambda owner: False,
        planned: float | None = None,
    ) -> Published:
        """Bring these entries in line and no others, but for those that this process knows as their owner's: they go.

        An address of another owner is left alone and reported where `living` says that one exists (OPERATOR.md 39), and
        where that one is missed: others have it when it is withdrawn (OPERATOR.md 34).
        """
        wanted = {entry_key(entry): entry for entry in entries}
        owners = {entry.owner for entry in wanted.values() if entry.owner}
        if self._is_done(wanted, owners):
            return Published()
        seen = Pass(self._clock.elapsed() if planned is None else planned)
        await _each(lambda entry: self._look_at(entry, seen), wanted.values())
        writable = {key: entry for key, entry in wanted.items() if not self._conflicts(key, entry, seen, living)}
        await self._bring_all(writable, seen)
        await self._withdraw(self._keys_of(owners) - wanted.keys(), seen)
        return seen.published()

    async def withdraw(self, owner: str, addresses: Iterable[Entry] = ()) -> Published:
        """Take back what `owner` has published, as far as this process knows, and those of `addresses` that are its."""
        await self._departures.leave(owner)
        seen = Pass(self._clock.elapsed())
        keys = {*map(entry_key, addresses), *self._keys_of({owner})}
        await _each(lambda key: self._read(key, seen), sorted(keys))
        await self._withdraw({key for key, entry in seen.found.items() if entry.owner == owner}, seen)
        return seen.published()

    async def verifiers(self, address: str) -> tuple[str, ...]:
        """Those in a mailbox's signed entry, as this process last saw or wrote it; read where it was never seen.

        () where there is none, or none that can be believed. Raises StorageError.
        """
        local, _, domain = address.rpartition("@")
        key = address_key(domain, local)
        if key not in self._known:
            await self._read(key, Pass(self._clock.elapsed()))
        _, entry = self._known.get(key, ("", None))
        return entry.verifiers if isinstance(entry, MailboxEntry) else ()

    async def close(self, domain: str, local: str, owner: str) -> Incarnation | None:
        """End `owner`'s account: nobody finds it, nothing is added to it, its purge is recorded (STORE.md rule 15).

        None where it has none: the address is another's, or was never published. Can be repeated, and killed anywhere.
        Raises StorageError, Ambiguous, Unavailable, AccountReadOnly.
        """
        await self._departures.leave(owner)
        key, seen = address_key(domain, local), Pass(self._clock.elapsed())
        # Before the entry: whoever stands still after it must not close the account that comes after this one.
        newest = await incarnations.latest(self._objects, domain, local)
        await self._read(key, seen)
        entry = seen.found.get(key)
        if entry is not None and entry.owner == owner:
            of = newest.id if newest is not None else ""
            made = await close_account(
                self._objects, domain, local, owner, incarnation=of, clock=self._clock, rng=self._rng
            )
            if made is not None and not made.absent:
                raise bucket.StorageError(f"{key}: another account came into use meanwhile")
            await self._withdraw({key}, seen)
            return made
        for item in await self._objects.list(purge_prefix(domain, local)):
            if (await read_record(self._objects, item.key)).owner == owner:
                return await self._finish(domain, local, int(item.key.rpartition("/")[2]))
        return None

    async def finish_close(self, found: Purge) -> None:
        """Finish a close that was begun and left, whoever began it."""
        _, domain, local, _ = found.folder.split("/")
        await self._finish(domain, unquote(local), found.number)

    async def _finish(self, domain: str, local: str, number: int) -> Incarnation:
        return await finish_close(self._objects, domain, local, number, clock=self._clock, rng=self._rng)

    # -- looking

    async def _domains(self, entries: Iterable[Entry]) -> list[str]:
        return sorted({*await self._objects.list_folders("directory/"), *map(_domain_of, entries)})

    async def _look(self, domains: Sequence[str], planned: float) -> Pass:
        seen = Pass(planned)
        for listing in await _each(lambda domain: self._objects.list(f"directory/{domain}/"), domains):
            self._note(listing, seen)
        await _each(lambda key: self._read(key, seen), sorted(seen.present))
        return seen

    async def _look_at(self, entry: Entry, seen: Pass) -> None:
        """What concerns one entry: a mailbox's folder, of anything else the object alone."""
        key = entry_key(entry)
        if not isinstance(entry, MailboxEntry):
            return await self._read(key, seen)
        self._note(await self._objects.list(key.removesuffix("address")), seen)
        return await self._read(key, seen) if key in seen.present else None

    def _note(self, listing: Sequence[bucket.Entry], seen: Pass) -> None:
        for item in listing:
            folder, _, number = item.key.rpartition("incarnation/")
            if folder:
                seen.numbers[folder] = max(int(number), seen.numbers.get(folder, 0))
            elif item.key.endswith(_ENTRIES):
                seen.present.add(item.key)
                seen.tags[item.key] = item.tag
        purges = pending(listing)
        seen.purges += purges
        seen.closing |= {found.folder: found.number for found in purges if found.closed is None}

    async def _read(self, key: str, seen: Pass) -> None:
        tag = seen.tags.get(key, "")
        known = self._known.get(key)
        if tag and known is not None and known[0] == tag:
            seen.found[key] = known[1]
            return
        try:
            entry = self._verifier.open(key, await self._objects.get(key))
        except NotFound:
            seen.present.discard(key)
        except TooNew as error:
            seen.newer.add(key)
            event("directory.entry_left_alone", level="warning", reason=str(error))
        except BadEntry as error:
            seen.present.add(key)
            event("directory.entry_repaired", level="warning", reason=str(error))
        else:
            seen.present.add(key)
            seen.found[key] = entry
            self._remember(key, tag, entry)
            if entry.writer > WRITER:
                seen.newer.add(key)

    def _remember(self, key: str, tag: str, entry: Entry) -> None:
        self._known[key] = (tag, entry)
        if entry.owner:
            self._owned.setdefault(entry.owner, set()).add(key)

    def _is_done(self, wanted: dict[str, Entry], owners: Collection[str]) -> bool:
        """Whether a pass over everything has just found, or made, all of this as it should be: then it needs no look.

        When an operator starts, thousands of Mailboxes are looked at right after such a pass.
        """
        if self._clock.elapsed() - self._looked > _LATELY or self._keys_of(owners) - wanted.keys():
            return False
        return all(key in self._known and _is_as(self._known[key][1], entry) for key, entry in wanted.items())

    def account(self, entry: MailboxEntry) -> AccountRef | None:
        """The account of a mailbox that this process has seen or made."""
        _, known = self._known.get(entry_key(entry), ("", None))
        if not isinstance(known, MailboxEntry) or not known.incarnation:
            return None
        return AccountRef(known.domain, known.local, known.incarnation)

    def _is_young(self, there: Entry | None) -> bool:
        return there is not None and not there.orphaned and there.version > (self._clock.now() - _YOUNG) * 1000

    def _keys_of(self, owners: Collection[str]) -> set[str]:
        """What these owners have, as far as this process knows."""
        keys = {key for owner in owners for key in self._owned.get(owner, ())}
        return {key for key in keys if key in self._known and self._known[key][1].owner in owners}

    def _conflicts(self, key: str, entry: Entry, seen: Pass, living: Callable[[str], bool]) -> bool:
        there = seen.found.get(key)
        if there is None or there.owner in ("", entry.owner):
            return False
        free = continues(entry, there) or (there.orphaned > 0 and is_over(there.orphaned, self._clock.now()))
        if free and not living(there.owner):
            return False
        seen.conflicts.append((there.name if isinstance(there, DomainEntry) else there.address, there.owner))
        return True

    # -- writing

    async def _withdraw(self, keys: Collection[str], seen: Pass) -> None:
        ordered = sorted(keys, key=_withdrawal_order)
        await self._objects.delete(ordered)
        for key in ordered:
            _, entry = self._known.pop(key, ("", None))
            if entry is not None and entry.owner:
                self._owned.get(entry.owner, set()).discard(key)
        seen.gone += ordered

    async def _let_go(self, gone: set[str], seen: Pass) -> None:
        """Orphan what is newly missed, withdraw what was missed long enough. A damaged entry has nothing to keep."""
        now = self._clock.now()
        over = {key for key in gone if key not in seen.found}
        for key in sorted(gone - over):
            entry = seen.found[key]
            if not entry.orphaned:
                await self._orphan(entry, int(now), seen)
            elif is_over(entry.orphaned, now):
                over.add(key)
        await self._withdraw({key for key in over if not self._is_overtaken(key, seen)}, seen)

    async def _orphan(self, entry: Entry, now: int, seen: Pass) -> None:
        with self._departures.writing(entry.owner, seen.planned) as may:
            if may and not self._is_overtaken(entry_key(entry), seen):
                await self._write(entry_key(entry), msgspec.structs.replace(entry, orphaned=now), entry, seen)
                seen.orphaned.append(entry_key(entry))

    async def _bring_all(self, wanted: dict[str, Entry], seen: Pass) -> None:
        seen.newer |= {key for key, entry in wanted.items() if _is_newer(seen.found.get(key), entry)}
        writable = [entry for key, entry in wanted.items() if key not in seen.newer]
        # a domain is served from its entry on, so that comes after its addresses
        await _each(lambda entry: self._bring(entry, seen), [e for e in writable if not isinstance(e, DomainEntry)])
        await _each(lambda entry: self._bring(entry, seen), [e for e in writable if isinstance(e, DomainEntry)])

    async def _bring(self, entry: Entry, seen: Pass) -> None:
        with self._departures.writing(entry.owner, seen.planned) as may:
            if may:
                await self._bring_one(entry, seen)

    async def _bring_one(self, entry: Entry, seen: Pass) -> None:
        """Write `entry` where what was found differs from it."""
        key = entry_key(entry)
        there = seen.found.get(key)
        if isinstance(entry, MailboxEntry):
            entry = await self._with_account(entry, there, seen)
        if self._is_overtaken(key, seen):
            return
        if there is None or msgspec.structs.replace(entry, version=there.version) != there:
            await self._write(key, entry, there, seen)

    def _is_overtaken(self, key: str, seen: Pass) -> bool:
        """Whether what a pass found was written anew while it went on, and so is of a later state."""
        there = seen.found.get(key)
        _, known = self._known.get(key, ("", None))
        return known is not None and there is not None and known.version > there.version

    async def _write(self, key: str, entry: Entry, there: Entry | None, seen: Pass) -> None:
        version = max(int(self._clock.now() * 1000), there.version + 1 if there else 1)
        entry = msgspec.structs.replace(entry, version=version)
        data = seal(entry, self._key)
        await self._objects.put(key, [data])
        # S3's ETag of a plain PUT; where it is another, the next pass reads the object once
        self._remember(key, hashlib.md5(data, usedforsecurity=False).hexdigest(), entry)
        seen.written.append(key)

    async def _with_account(self, entry: MailboxEntry, there: Entry | None, seen: Pass) -> MailboxEntry:
        """The entry with the incarnation in use, whose account is opened unless a published entry says it was."""
        folder = address_key(entry.domain, entry.local).removesuffix("address")
        if (number := seen.closing.get(folder)) is not None:  # a Mailbox that was deleted, and is applied again
            await self._finish(entry.domain, entry.local, number)
        newest = seen.numbers.get(folder, 0)
        if isinstance(there, MailboxEntry) and newest and there.incarnation_number == newest and number is None:
            return msgspec.structs.replace(entry, incarnation=there.incarnation, incarnation_number=newest)
        ref = entry.domain, entry.local
        none_listed, known = not newest, newest if number is None else 0
        made, opened = await open_account(
            self._objects, *ref, newest=known, none_listed=none_listed, clock=self._clock, rng=self._rng
        )
        if opened:
            seen.opened.append(AccountRef(*ref, made.id).prefix)
        return msgspec.structs.replace(entry, incarnation=made.id, incarnation_number=made.number)


def _is_as(there: Entry, wanted: Entry) -> bool:
    """Whether an entry says what is wanted, in all that its owner decides."""
    if isinstance(wanted, MailboxEntry) and isinstance(there, MailboxEntry):
        wanted = msgspec.structs.replace(
            wanted, incarnation=there.incarnation, incarnation_number=there.incarnation_number
        )
    return msgspec.structs.replace(wanted, version=there.version) == there


def _is_newer(there: Entry | None, wanted: Entry) -> bool:
    """Whether what is there comes from a later state of the same object than the one we know."""
    return there is not None and there.owner == wanted.owner and there.generation > wanted.generation


def _domain_of(entry: Entry) -> str:
    return entry.name if isinstance(entry, DomainEntry) else entry.domain


def _withdrawal_order(key: str) -> tuple[bool, str]:
    return not key.endswith("/!domain"), key


async def _each(do: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """`do` for each item, some at once. Every one is tried before the first failure is raised."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> R:
        async with slots:
            return await do(item)

    done = await asyncio.gather(*map(one, items), return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [result for result in done if not isinstance(result, BaseException)]
