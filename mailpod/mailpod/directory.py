"""Who exists: the facade that the pods read and the operator publishes through.

A pod believes an entry only with a signature for its key, and never one older than it has seen; what it cannot believe
or cannot read is Unavailable (451, try later), never "no such user". Nothing is served from memory longer than `ttl`
seconds after the read was sent: with the registry's sweep (4 s) and the publisher's own delay (about 1 s in local
mode), a change is in force everywhere within 10 s (DESIGN.md, "Directory").
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mailpod.addresses import Address, normalize, normalize_domain, untagged
from mailpod.clock import Clock, SystemClock
from mailpod.errors import AccountMissing, Unavailable
from mailpod.logs import event
from mailpod.store import incarnations
from mailpod.store.buckettime import BucketClock
from mailpod.store.claims import (
    Claim,
    ClaimConflict,
    claim_domain,
    claim_key,
    claim_prefix,
    held_claim,
    overlap,
    release_domain,
)
from mailpod.store.entries import (
    AddressEntry,
    AliasEntry,
    BadEntry,
    DomainEntry,
    Entry,
    MailboxEntry,
    Verifier,
    new_signing_key,
    public_key,
)
from mailpod.store.incarnations import AccountRef, Incarnation
from mailpod.store.names import address_key, directory_prefix, domain_key
from mailpod.store.objects import Ambiguous, NotFound, ObjectStore, StorageError
from mailpod.store.opening import open_bucket
from mailpod.store.ops import LATER
from mailpod.store.probe import PROBE_VERSION, ProbeResult, probe, remove_left
from mailpod.store.publisher import Publisher
from mailpod.store.publishing import Published
from mailpod.store.purge import Erase, Purge, purge
from mailpod.store.unchanged import Unchanged
from mailpod.store.usage import Usage, UsageReader
from mailpod.store.withdrawal import Brake

__all__ = [
    "LATER",
    "PROBE_VERSION",
    "AccountRef",
    "AddressEntry",
    "AliasEntry",
    "Ambiguous",
    "Brake",
    "BucketClock",
    "Claim",
    "ClaimConflict",
    "Directory",
    "DomainEntry",
    "Entry",
    "Erase",
    "Forward",
    "Incarnation",
    "MailboxEntry",
    "NotFound",
    "ObjectStore",
    "ProbeResult",
    "Published",
    "Publisher",
    "Purge",
    "Reached",
    "StorageError",
    "SystemClock",
    "Usage",
    "UsageReader",
    "claim_domain",
    "claim_key",
    "claim_prefix",
    "held_claim",
    "new_signing_key",
    "open_bucket",
    "overlap",
    "probe",
    "public_key",
    "purge",
    "release_domain",
    "remove_left",
]

_MOST_FORWARDED: Final = 500  # mailboxes, and addresses elsewhere, that one address leads to
ROLES: Final = frozenset({"postmaster", "abuse"})  # RFC 2142 §4 and §5: always accepted
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Forward:
    """`to` is an address of a domain that is not served here, to which the mail of the mailbox `via` goes on."""

    to: str
    via: MailboxEntry


@dataclass(frozen=True, slots=True)
class Reached:
    """Whom a message for an address is brought to."""

    mailboxes: list[MailboxEntry]
    forwards: list[Forward]


@dataclass(slots=True)
class _Known:
    """What a key was found to hold, by a read sent at `sent` (Clock.elapsed); `floor` is the highest version seen.

    `tag` is what a listing before the read gave of it.
    """

    entry: Entry | None
    digest: bytes
    sent: float
    floor: int
    tag: str = ""


class Directory:
    """Addresses, read on demand. `capacity` bounds the keys kept, those that exist and those that do not apart."""

    def __init__(
        self,
        objects: ObjectStore,
        *,
        public_keys: Sequence[bytes],
        clock: Clock,
        ttl: float = 3.0,
        capacity: int = 20_000,
    ) -> None:
        self._objects = objects
        self._verifier = Verifier(public_keys)
        self._clock = clock
        self._ttl = ttl
        self._capacity = capacity
        self._present: OrderedDict[str, _Known] = OrderedDict()
        self._absent: OrderedDict[str, _Known] = OrderedDict()
        self._reading: dict[str, asyncio.Task[Entry | None]] = {}
        self._unchanged = Unchanged(objects)
        self._newer: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()  # address -> hint, what is in use

    async def lookup(self, address: str) -> MailboxEntry | None:
        """The one mailbox behind an address; None if unknown, or if it stands for several. Raises Unavailable."""
        found = await self.resolve(address)
        return found[0] if len(found) == 1 else None

    async def resolve(self, address: str) -> list[MailboxEntry]:
        """Every mailbox that mail for `address` goes to; [] if it is unknown. Raises Unavailable.

        The full address first: `+tag` is cut at the first `+` only where that one is unknown.
        """
        try:
            local, domain_name = normalize(address)
        except ValueError:
            return []
        domain = await self.domain(domain_name)
        if domain is None:
            return []
        found = await self._mailboxes(local, domain)
        if not found and (base := untagged(local)):
            found = await self._mailboxes(base, domain)
        return found

    async def recipients(self, address: str) -> Reached:
        """Everyone that a message for `address` is brought to: as `resolve`, then forwarded, or else caught.

        Nobody if it is unknown. Raises Unavailable.
        """
        found = await self.resolve(address)
        if not found:
            found = await self._caught(address)
        return await self._forwarded(found) if any(entry.forward_to for entry in found) else Reached(found, [])

    async def domain(self, name: str) -> DomainEntry | None:
        """A domain that is served, None otherwise. Raises Unavailable."""
        try:
            entry = await self._read(domain_key(normalize_domain(name)))
        except ValueError:
            return None
        return entry if isinstance(entry, DomainEntry) else None

    async def confirm(self, addresses: Iterable[str]) -> None:
        """Look the entries of many addresses up again by a listing of their domain, where that asks less of the bucket.

        An entry that is as it was is believed as if it had just been read; every other is read at its next use.
        """
        for domain, wanted in Counter(address.rpartition("@")[2] for address in addresses).items():
            sent = self._clock.elapsed()
            for key, tag in (await self._unchanged.look(directory_prefix(domain), wanted)).items():
                if (known := self._present.get(key)) and known.tag == tag:
                    known.sent = max(known.sent, sent)

    async def account(self, entry: MailboxEntry, *, fresh: bool = False) -> AccountRef:
        """The account of a mailbox. `fresh` asks the bucket: the caller met a closed or an emptied one (STORE.md 15).

        Raises Unavailable, and AccountMissing where none was ever opened.
        """
        address = (entry.domain, entry.local)
        hint, in_use = self._newer.get(address, ("", ""))
        if fresh or not entry.incarnation:
            hint, in_use = entry.incarnation, await self._incarnation(entry)
            _keep(self._newer, address, (hint, in_use), self._capacity)
        if hint != entry.incarnation:
            in_use = entry.incarnation
        return AccountRef(entry.domain, entry.local, in_use)

    async def mailbox(self, address: Address) -> MailboxEntry | None:
        """The mailbox whose own address this is, as the bucket has it now; no alias. Raises Unavailable."""
        entry = _served(await self._fetch(address_key(address.domain, address.local)))
        return entry if isinstance(entry, MailboxEntry) else None

    def forget(self, address: str) -> None:
        """Read the address again at its next use. Which versions were seen is kept."""
        try:
            local, domain = normalize(address)
        except ValueError:
            return
        for name in filter(None, (local, untagged(local))):
            key = address_key(domain, name)
            self._reading.pop(key, None)
            if known := self._present.get(key) or self._absent.get(key):
                known.sent = float("-inf")

    async def _mailboxes(self, local: str, domain: DomainEntry) -> list[MailboxEntry]:
        entry = await self._read(address_key(domain.name, local))
        if entry is None and local in domain.groups:
            return await self._group(domain.groups[local])
        if entry is None and local in ROLES and domain.postmaster:
            entry = await self._target(domain.postmaster)
        if isinstance(entry, AliasEntry):
            found = await asyncio.gather(*map(self._target, entry.targets))
            return [target for target in found if target is not None]
        return [entry] if isinstance(entry, MailboxEntry) else []

    async def _group(self, members: Sequence[str]) -> list[MailboxEntry]:
        """The mailboxes of members, who are mailboxes and aliases, each once."""
        found = await asyncio.gather(*map(self._member, members))
        return list({entry.address: entry for entries in found for entry in entries}.values())

    async def _member(self, address: str) -> list[MailboxEntry]:
        local, domain = normalize(address)
        entry = await self._read(address_key(domain, local))
        if isinstance(entry, AliasEntry):
            targets = await asyncio.gather(*map(self._target, entry.targets))
            return [target for target in targets if target is not None]
        return [entry] if isinstance(entry, MailboxEntry) else []

    async def _caught(self, address: str) -> list[MailboxEntry]:
        try:
            domain = await self.domain(normalize(address).domain)
        except ValueError:
            return []
        return await self._member(domain.catch_all) if domain is not None and domain.catch_all else []

    async def _forwarded(self, found: list[MailboxEntry]) -> Reached:
        """Where forwarding leads, step by step, each mailbox once. Mail that would reach nobody stays where it is."""
        reached: dict[str, MailboxEntry] = {}
        outside: dict[str, Forward] = {}
        seen = {entry.address for entry in found}
        waiting = list(found)
        while waiting and len(seen) + len(outside) <= _MOST_FORWARDED:
            entry = waiting.pop(0)
            targets, away = await self._targets(entry)
            if entry.keep_copy or not (targets or away):
                reached[entry.address] = entry
            outside = {forward.to: forward for forward in away} | outside
            fresh = {target.address: target for target in targets if target.address not in seen}
            seen |= fresh.keys()
            waiting += fresh.values()
        forwards = list(outside.values())
        return Reached(list(reached.values()) or ([] if forwards else found), forwards)

    async def _targets(self, entry: MailboxEntry) -> tuple[list[MailboxEntry], list[Forward]]:
        """Where the mail of one mailbox goes on to. Where it may leave to: OPERATOR.md rule 39."""
        found: list[MailboxEntry] = []
        away: list[Forward] = []
        for target in () if entry.suspended else entry.forward_to:
            name = target.rpartition("@")[2]
            if await self.domain(name) is not None:
                found += await self.resolve(target)
            elif (own := await self.domain(entry.domain)) is not None and (
                own.forwarding == "any" or (own.forwarding == "listed" and name in own.forwarding_domains)
            ):
                away.append(Forward(target, entry))
        return found, away

    async def _target(self, address: str) -> MailboxEntry | None:
        target: Address = normalize(address)
        entry = await self._read(address_key(target.domain, target.local))
        return entry if isinstance(entry, MailboxEntry) else None

    async def _incarnation(self, entry: MailboxEntry) -> str:
        try:
            found = await incarnations.latest(self._objects, entry.domain, entry.local)
        except (StorageError, NotFound) as error:
            raise Unavailable from error
        if found is None or found.absent:  # STORE.md rule 15: closed, and not made again
            raise AccountMissing
        return found.id

    async def _read(self, key: str) -> Entry | None:
        """What `key` holds, no older than the ttl. One read at a time a key, however many wait for it."""
        cache = self._present if key in self._present else self._absent
        if (known := cache.get(key)) and self._clock.elapsed() - known.sent < self._ttl:
            cache.move_to_end(key)
            return _served(known.entry)
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.ensure_future(self._fetch(key))
            task.add_done_callback(lambda done: self._fetched(key, done))
        return _served(await asyncio.shield(task))  # one waiter's cancellation is not the others'

    def _fetched(self, key: str, task: asyncio.Task[Entry | None]) -> None:
        if self._reading.get(key) is task:
            del self._reading[key]
        if not task.cancelled():
            task.exception()  # retrieved, also where every waiter has gone

    async def _fetch(self, key: str) -> Entry | None:
        sent = self._clock.elapsed()
        tag = self._unchanged.tag(key, directory_prefix(key.split("/")[1]))
        try:
            data = await self._objects.get(key)
        except NotFound:
            data = None
        except StorageError as error:
            raise Unavailable from error
        known = self._present.get(key) or self._absent.get(key)
        try:
            now = self._judge(key, data, known, sent)
        except BadEntry as error:
            event("directory.entry_refused", level="error", reason=str(error))
            raise Unavailable from error
        now.tag = tag
        if known is None or known.sent <= sent:
            self._remember(key, now)
        return now.entry

    def _judge(self, key: str, data: bytes | None, known: _Known | None, sent: float) -> _Known:
        """What to believe, given what was just read and what was known before. Raises BadEntry."""
        floor = known.floor if known else 0
        if data is None:
            return _Known(None, b"", sent, floor)
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if known and known.digest == digest:
            return _Known(known.entry, digest, sent, floor)
        entry = self._verifier.open(key, data)
        if entry.version < floor:
            # an old entry put back; the newest one seen holds, and where that one was withdrawn nothing does
            event("directory.entry_refused", level="error", reason=f"{key} went back to version {entry.version}")
            return _Known(known.entry if known else None, b"", sent, floor)
        return _Known(entry, digest, sent, entry.version)

    def _remember(self, key: str, known: _Known) -> None:
        keep, drop = (self._absent, self._present) if known.entry is None else (self._present, self._absent)
        drop.pop(key, None)
        _keep(keep, key, known, self._capacity)


def _served(entry: Entry | None) -> Entry | None:
    """Raises Unavailable for an entry whose owner is missed, and not yet long enough to believe it (OPERATOR.md 34)."""
    if entry is not None and entry.orphaned:
        raise Unavailable
    return entry


def _keep(cache: OrderedDict[K, V], key: K, value: V, capacity: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > capacity:
        cache.popitem(last=False)
