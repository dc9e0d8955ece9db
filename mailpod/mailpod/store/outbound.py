"""Queued messages in the bucket: the objects of one entry, and the only steps that may be taken with them.

    outbound/<id>/message       a line of JSON (SpoolEntry), then the message: creating it is what 250 acknowledges
                 /attempt-<n>   a claim, n of 6 digits from 1 on: JSON with the pod's name. The pod that accepted the
                                message hands it out first without one; where that is outward, `message` is its claim
                 /result-<n>    the end of attempt n (0: the first, unclaimed one): JSON, recipient -> Outcome
                 /noticed-<n>   what result n had for the sender is told: the notices are entries of their own
                 /delayed       the sender is told that it waits
                 /hold-<n>      nobody attempts it, n of 6 digits from 1 on, until there is
                 /release-<n>   with the same n
                 /retry-<n>     the attempt after n is due at once
                 /done          settled; whatever else is left is garbage. Where nothing else is, `message` just goes

- The id is `<milliseconds since the epoch: 12 hex digits>-<64 random bits>`, so a listing is in order of arrival. A
  notice's id is made of the entry's that it is about: to make it again makes nothing new.
- Every object is created once and never written again (STORE.md, "A name that can be deleted is used once").
- An entry with `done`, or without `message`, is garbage (STORE.md rule 18).
- A reader ignores fields that it does not know, and names too: `undelivered` was written by format 1.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from mailpod.clock import Clock
from mailpod.errors import Unavailable
from mailpod.store.buckettime import BucketClock
from mailpod.store.deletions import Deletions
from mailpod.store.names import outbound_prefix
from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, Entry, NotFound, ObjectStore, StorageError
from mailpod.store.outcome import Outcome, decode

FORMAT: Final = 3  # the highest that can be read; an entry with a higher number is left to newer pods
_PLAIN: Final = 2  # of an entry without forwards
_TRIES: Final = 3  # of one create whose answer is ambiguous
_PAGE: Final = 1000  # keys of one LIST
_HEADER: Final = 64 * 1024  # octets in which an entry's line mostly ends


Mark: TypeAlias = Literal["noticed", "delayed", "hold", "release", "retry"]


class RecipientOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What RCPT said of one recipient (RFC 3461 §4.1 and §4.2)."""

    notify: tuple[str, ...] = ()  # NEVER, or some of SUCCESS, FAILURE, DELAY; () where it was not said
    orcpt: str = ""  # as given, `type;xtext`


class Forwarded(msgspec.Struct, frozen=True):
    """How a message goes on to a recipient elsewhere: by which reverse-path, and from which mailbox here."""

    sender: str
    via: str


class SpoolEntry(msgspec.Struct, frozen=True):
    """Who a queued message is from and for. `recipients` are addresses of mailboxes here, or of other domains'."""

    id: str
    sender: str  # "" is the null reverse-path
    recipients: tuple[str, ...]
    created: float  # seconds since the epoch, by the accepting pod's clock: for people
    format: int = _PLAIN  # 3 where there are `forwards`, which a pod that does not know them would send as they came
    options: dict[str, RecipientOptions] = {}  # by recipient; those of whom nothing was said are not in it
    envid: str = ""  # RFC 3461 §4.4, as given (xtext)
    ret: str = ""  # RFC 3461 §4.3: FULL, HDRS or ""
    smtputf8: bool = False  # RFC 6531 §3.4: MAIL said so
    requiretls: bool = False  # RFC 8689 §2
    folder: str = "INBOX"  # of the mailboxes here
    user: str = ""  # who submitted it; "" for what came in by the MX port, or was forwarded
    verified: bool = False  # what came in by the MX port: `sender` is not forged, and may be sent a notice
    outward: bool = False  # a recipient's domain is not served here: claims last (STORE.md rule 19)
    forwards: dict[str, Forwarded] = {}  # by recipient; the others get the message as it came
    holder: str = ""  # of an outward one: the pod that accepted it and sends it at once, by the claim that is `message`


@dataclass(slots=True)
class Standing:
    """What a listing shows of one entry. Times are the bucket's."""

    id: str
    message: float | None = None  # its creation
    attempts: dict[int, float] = field(default_factory=dict)
    results: dict[int, float] = field(default_factory=dict)
    noticed: set[int] = field(default_factory=set)
    holds: set[int] = field(default_factory=set)
    releases: set[int] = field(default_factory=set)
    retries: set[int] = field(default_factory=set)
    delayed: bool = False
    done: bool = False
    objects: int = 0

    @property
    def garbage(self) -> bool:
        return self.done or self.message is None

    @property
    def last(self) -> int:
        """The number of the newest attempt, 0 when there is no claim."""
        return max(self.attempts, default=0)

    @property
    def claimed(self) -> bool:
        """Whether the newest claim has no result yet."""
        return bool(self.attempts) and self.last not in self.results

    @property
    def held(self) -> bool:
        return bool(self.holds - self.releases)

    @property
    def hurried(self) -> bool:
        """Whether someone wants the next attempt now."""
        return self.last in self.retries


class Outbound:
    """The queue's objects. Every method raises Unavailable when the bucket does not answer."""

    def __init__(self, objects: ObjectStore, *, clock: Clock, rng: random.Random) -> None:
        self._objects = objects
        self._clock = clock
        self._rng = rng
        self._time = BucketClock(objects, clock)
        self._settled = Deletions(objects)

    def new_id(self) -> str:
        return f"{int(self._clock.now() * 1000):012x}-{self._rng.getrandbits(64):016x}"

    async def now(self) -> float:
        """Bucket time."""
        try:
            return await self._time.now()
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error

    async def create(self, entry: SpoolEntry, message: Buffer) -> None:
        """Make the entry durable. After Unavailable it may still appear, as one more delivery (STORE.md rule 4).

        An outward one is sent to the bucket once: a second try could be settled and gone when the first one lands.
        """
        try:
            await self._create(
                entry.id, "message", [msgspec.json.encode(entry), b"\n", message], tries=1 if entry.outward else _TRIES
            )
        except Unavailable:
            if not entry.outward or (await self.standing(entry.id)).message is None:
                raise

    async def create_once(self, entry: SpoolEntry, message: Buffer) -> bool:
        """`create`, where another pod may do the same; False when the entry is there already."""
        try:
            await self._create(entry.id, "message", [msgspec.json.encode(entry), b"\n", message], ours=False)
        except AlreadyExists:
            return False
        return True

    async def read(self, entry_id: str) -> tuple[SpoolEntry, bytes] | None:
        """The entry and its message; None if it is gone."""
        data = await self._get(outbound_prefix(entry_id) + "message")
        if data is None:
            return None
        header, _, message = data.partition(b"\n")
        return _entry(header), message

    async def header(self, entry_id: str) -> SpoolEntry | None:
        """The entry without its message; None if it is gone."""
        key = outbound_prefix(entry_id) + "message"
        try:
            data, size = await self._objects.get_head(key, _HEADER)
            if b"\n" not in data and len(data) < size:
                data = await self._objects.get(key)
        except NotFound:
            return None
        except StorageError as error:
            raise Unavailable from error
        return _entry(data.partition(b"\n")[0])

    async def standings(self, after: str = "") -> list[Standing]:
        """Entries in order of arrival, beginning after the id `after`; some of them, and [] only at the end."""
        start = outbound_prefix(after) + "\U0010ffff" if after else ""
        page = await self._list(outbound_prefix(), start, _PAGE)
        found = _group(page)
        if len(page) == _PAGE and found:  # its end may be cut off
            last = found.pop()
            if not found:
                found = [await self.standing(last.id)]
        return found

    async def standing(self, entry_id: str) -> Standing:
        """One entry, as it is now."""
        found = _group(await self._list(outbound_prefix(entry_id), "", None))
        return found[0] if found else Standing(entry_id)

    async def results(self, standing: Standing) -> dict[int, dict[str, Outcome]]:
        """What each attempt that ended gave."""
        found: dict[int, dict[str, Outcome]] = {}
        for number in sorted(standing.results):
            data = await self._get(f"{outbound_prefix(standing.id)}result-{number:06d}")
            if data is not None:
                found[number] = decode(data)
        return found

    async def claim(self, entry_id: str, number: int, pod: str) -> bool:
        """Create `attempt-<number>`; False when another pod has it. Look at the entry again afterwards."""
        try:
            await self._create(entry_id, f"attempt-{number:06d}", [msgspec.json.encode({"pod": pod})], ours=False)
        except AlreadyExists:
            return False
        return True

    async def record(self, entry_id: str, number: int, outcomes: Mapping[str, Outcome]) -> None:
        """End attempt `number`: what it gave for the recipients that it was about."""
        await self._create(entry_id, f"result-{number:06d}", [msgspec.json.encode(dict(outcomes))])

    async def mark(self, entry_id: str, name: Mark, number: int | None = None) -> None:
        """Create one of the objects whose being there is all that they say."""
        await self._create(entry_id, name if number is None else f"{name}-{number:06d}", [b"{}\n"])

    async def settle(self, entry_id: str, *, alone: bool = False) -> None:
        """All recipients are final: `done` first, then the message goes, then the rest (STORE.md rule 18).

        `alone` says that the entry is the message and nothing else, as far as the caller knows, who had it from its
        creation on: then to delete that is to settle, in a request that others share. A claim made meanwhile finds no
        message.
        """
        if alone:
            await self._settled.delete(outbound_prefix(entry_id) + "message")
            return
        await self._create(entry_id, "done", [b"{}\n"])
        await self.clear(entry_id)

    async def clear(self, entry_id: str) -> None:
        """Delete what is left of a settled entry; `done` last, so that no remainder looks alive."""
        prefix = outbound_prefix(entry_id)
        await self._delete([prefix + "message"])
        names = [found.key for found in await self._list(prefix, "", None)]
        await self._delete([name for name in names if name != prefix + "done"])
        await self._delete([prefix + "done"])

    async def _delete(self, keys: Sequence[str]) -> None:
        try:
            await self._objects.delete(keys)
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error

    async def _create(
        self, entry_id: str, name: str, data: Sequence[Buffer], *, ours: bool = True, tries: int = _TRIES
    ) -> None:
        """`ours`: only one pod at a time writes this name, so what is already there is our own earlier try."""
        key = outbound_prefix(entry_id) + name
        for _ in range(tries):
            try:
                await self._objects.create(key, data)
            except AlreadyExists:
                if not ours:
                    raise
            except Ambiguous:
                continue
            except StorageError as error:
                raise Unavailable from error
            return
        raise Unavailable

    async def _get(self, key: str) -> bytes | None:
        try:
            return await self._objects.get(key)
        except NotFound:
            return None
        except StorageError as error:
            raise Unavailable from error

    async def _list(self, prefix: str, after: str, limit: int | None) -> list[Entry]:
        try:
            return await self._objects.list(prefix, after=after, limit=limit)
        except StorageError as error:
            raise Unavailable from error


def with_forwards(entry: SpoolEntry, forwards: dict[str, Forwarded]) -> SpoolEntry:
    """The entry, some of whose recipients elsewhere are forwarded to."""
    return msgspec.structs.replace(entry, forwards=forwards, format=FORMAT) if forwards else entry


def notice_id(entry_id: str, about: str) -> str:
    """The id of a notice about an entry: always the same."""
    return f"{entry_id[:12]}-{hashlib.sha256(f'{entry_id} {about}'.encode()).hexdigest()[:16]}"


def _entry(line: bytes) -> SpoolEntry:
    entry = msgspec.json.decode(line, type=SpoolEntry)
    if entry.format > FORMAT:
        raise Unavailable("The entry was written for newer pods")
    return entry


def _group(listing: Sequence[Entry]) -> list[Standing]:
    found: dict[str, Standing] = {}
    for entry in listing:
        _, entry_id, name = entry.key.split("/", 2)
        _note(found.setdefault(entry_id, Standing(entry_id)), name, entry.modified)
    return list(found.values())


def _note(standing: Standing, name: str, modified: float) -> None:
    kind, _, number = name.partition("-")
    standing.objects += 1
    match kind:
        case "message":
            standing.message = modified
        case "attempt":
            standing.attempts[int(number)] = modified
        case "result":
            standing.results[int(number)] = modified
        case "noticed":
            standing.noticed.add(int(number))
        case "hold":
            standing.holds.add(int(number))
        case "release":
            standing.releases.add(int(number))
        case "retry":
            standing.retries.add(int(number))
        case "delayed":
            standing.delayed = True
        case "done":
            standing.done = True


def merged(results: Mapping[int, Mapping[str, Outcome]]) -> dict[str, Outcome]:
    """By recipient, of all attempts: a final one in any of them is final (STORE.md rule 18), else the last."""
    outcomes: dict[str, Outcome] = {}
    for number in sorted(results):
        for recipient, outcome in results[number].items():
            if recipient not in outcomes or not outcomes[recipient].final:
                outcomes[recipient] = outcome
    return outcomes
