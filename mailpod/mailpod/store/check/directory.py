"""The directory: entries and their signatures, incarnations, records of purges, and accounts that nobody leads to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import msgspec

from mailpod.store import incarnations
from mailpod.store.check.contents import each
from mailpod.store.check.finding import Findings
from mailpod.store.claims import CLAIMS_PREFIX, Claim, claimed_prefix, overlap
from mailpod.store.closing import PurgeRecord
from mailpod.store.entries import BadEntry, Entry, MailboxEntry, TooNew, Verifier, parse_entry
from mailpod.store.incarnations import Incarnation
from mailpod.store.names import address_key
from mailpod.store.objects import NotFound, ObjectStore, StorageError


@dataclass(frozen=True, slots=True)
class Place:
    """An account's folder in the bucket. `number`: of its incarnation, 0 where none names it; `state`: what it is."""

    domain: str
    local: str
    """Encoded, as in keys."""
    id: str
    number: int = 0
    state: str = "in use"

    @property
    def prefix(self) -> str:
        return f"accounts/{self.domain}/{self.local}/{self.id}/"

    @property
    def address(self) -> str:
        return f"{unquote(self.local)}@{self.domain}"


@dataclass(slots=True)
class Names:
    """What `directory/<domain>/<local part>/` holds."""

    entry: Entry | None = None
    has_entry: bool = False
    incarnations: dict[int, Incarnation] = field(default_factory=dict)
    purges: dict[int, str] = field(default_factory=dict)
    """The id that each record names; "" where it cannot be read."""

    @property
    def newest(self) -> Incarnation | None:
        return self.incarnations[max(self.incarnations)] if self.incarnations else None


class DirectoryCheck:
    """Reads `directory/`, and compares it with the folders under `accounts/`."""

    def __init__(self, objects: ObjectStore, public_keys: Sequence[bytes], findings: Findings) -> None:
        self._objects = objects
        self._verifier = Verifier(public_keys) if public_keys else None
        self._findings = findings
        self.names: dict[tuple[str, str], Names] = defaultdict(Names)

    async def read(self) -> None:
        """Raises StorageError."""
        for domain in await self._objects.list_folders("directory/"):
            listing = await self._objects.list(f"directory/{domain}/")
            await each(self._object, [entry.key for entry in listing])

    async def read_name(self, domain: str, local: str) -> None:
        """What concerns one address alone; `local` is encoded. Raises StorageError."""
        await each(self._object, [entry.key for entry in await self._objects.list(f"directory/{domain}/{local}/")])

    async def _object(self, key: str) -> None:
        _, domain, local, *rest = key.split("/")
        match rest:
            case []:
                await (self._owner(key) if local == "!owner" else self._entry(key))
            case ["address"]:
                await self._address(key, domain, local)
            case ["incarnation", number] if number.isdigit():
                await self._incarnation(key, domain, local, int(number))
            case ["purge", number] if number.isdigit():
                await self._record(key, domain, local, int(number))
            case _:
                self._findings.add("strange-object", key, "No rule of FORMAT.md names it.", severity="note")

    async def _address(self, key: str, domain: str, local: str) -> None:
        names = self.names[domain, local]
        names.has_entry = True
        names.entry = await self._entry(key)

    async def _entry(self, key: str) -> Entry | None:
        try:
            data = await self._objects.get(key)
            return self._verifier.open(key, data) if self._verifier is not None else parse_entry(key, data)
        except NotFound:
            return None
        except TooNew as error:
            self._findings.add("entry-too-new", key, f"{error}.", severity="note")
        except BadEntry as error:
            self._findings.damage(
                key, "entry-bad",
                f"No pod believes it ({error}): mail for it is answered with 451 and nobody can log in, until the"
                " operator publishes it again, which it does by itself.",
            )  # fmt: skip
        return None

    async def _owner(self, key: str) -> None:
        await check_claim(self._objects, key, self._findings)

    async def _incarnation(self, key: str, domain: str, local: str, number: int) -> None:
        data = await self._objects.get(key)
        try:
            self.names[domain, local].incarnations[number] = incarnations.parse(key, data)
        except StorageError as error:
            self._findings.damage(
                key, "incarnation-bad",
                f"It cannot be read ({error}), so the account it names is not found: its mail is answered with 451.",
            )  # fmt: skip

    async def _record(self, key: str, domain: str, local: str, number: int) -> None:
        try:
            record = msgspec.json.decode(await self._objects.get(key), type=PurgeRecord)
            self.names[domain, local].purges[number] = record.id
        except NotFound:
            return
        except msgspec.MsgspecError as error:
            self.names[domain, local].purges[number] = ""
            self._findings.damage(key, "purge-bad", f"The record of a purge cannot be read: {error}.")

    # -- judging

    def judge(self, places: Sequence[Place]) -> list[Place]:
        """Compare with the accounts' folders; returns them with what they are."""
        by_name: dict[tuple[str, str], list[Place]] = defaultdict(list)
        for place in places:
            by_name[place.domain, place.local].append(place)
        out: list[Place] = []
        for name in sorted({*by_name, *self.names}):
            out += self._judge(name, by_name.get(name, []))
        return out

    def _judge(self, name: tuple[str, str], places: Sequence[Place]) -> list[Place]:
        names = self.names.get(name, Names())
        domain, local = name
        address = f"{unquote(local)}@{domain}"
        self._purges(names, domain, local, address)
        newest = names.newest
        if isinstance(names.entry, MailboxEntry):
            self._mailbox(names.entry, names, places, address)
        elif newest is not None and not newest.absent and not names.has_entry and places:
            self._findings.add(
                "account-without-entry", f"accounts/{domain}/{local}/{newest.id}/",
                f"No Mailbox leads to the mail of {address}: it is kept, and found again when one is made.",
                severity="note",
            )  # fmt: skip
        return [self._named(place, names) for place in places]

    def _mailbox(self, entry: MailboxEntry, names: Names, places: Sequence[Place], address: str) -> None:
        newest, key = names.newest, address_key(entry.domain, entry.local)
        if newest is None or newest.absent:
            self._findings.damage(
                key, "entry-without-incarnation",
                f"{address} is published, and no incarnation says which account is its: mail is answered with 451."
                " The operator makes one at its next pass.",
            )  # fmt: skip
        elif newest.id not in {place.id for place in places}:
            self._findings.damage(
                f"accounts/{entry.domain}/{key.split('/')[2]}/{newest.id}/", "account-missing",
                f"The account of {address} has no object: mail is answered with 451, and nobody can log in.",
                repair="restore",
            )  # fmt: skip
        elif entry.incarnation and entry.incarnation != newest.id:
            self._findings.add(
                "entry-behind", key,
                f"The entry of {address} names an earlier incarnation than the one in use; pods look past it, and the"
                " operator publishes it again.", severity="note",
            )  # fmt: skip

    def _purges(self, names: Names, domain: str, local: str, address: str) -> None:
        for number, identifier in names.purges.items():
            key = f"directory/{domain}/{local}/purge/{number:010d}"
            before, after = names.incarnations.get(number), names.incarnations.get(number + 1)
            if after is None:
                self._findings.damage(
                    key, "close-unfinished", f"The deletion of {address} was begun and not finished: mail may still"
                    " arrive in an account that is to be erased.", repair="close",
                )  # fmt: skip
            elif identifier and (before is None or before.id != identifier or not after.absent):
                self._findings.damage(
                    key, "purge-refused",
                    f"It names another account than incarnation {number} of {address}, so the operator erases nothing.",
                )  # fmt: skip

    def _named(self, place: Place, names: Names) -> Place:
        for number, found in names.incarnations.items():
            if found.id == place.id:
                newest = number == max(names.incarnations)
                state = "in use" if newest else "to be erased" if number in names.purges else "earlier"
                return Place(place.domain, place.local, place.id, number, state)
        self._findings.add(
            "account-unnamed", place.prefix,
            f"No incarnation of {place.address} names it: a restore that was cut short, or `directory/` was lost."
            " Nobody reads it.", severity="note",
        )  # fmt: skip
        return Place(place.domain, place.local, place.id, 0, "unnamed")


async def account_places(objects: ObjectStore, *, domain: str = "", local: str = "") -> list[Place]:
    """The folders of accounts, of all or of one address (`local` encoded). Raises StorageError."""
    out: list[Place] = []
    for one in [domain] if domain else await objects.list_folders("accounts/"):
        for name in [local] if local else await objects.list_folders(f"accounts/{one}/"):
            out += [Place(one, name, found) for found in await objects.list_folders(f"accounts/{one}/{name}/")]
    return out


async def check_claim(objects: ObjectStore, key: str, findings: Findings) -> Claim | None:
    """One claim, of a prefix or a domain. Raises StorageError."""
    try:
        return msgspec.json.decode(await objects.get(key), type=Claim)
    except NotFound:
        return None
    except msgspec.MsgspecError as error:
        findings.damage(key, "claim-bad", f"It cannot be read ({error}): the operator refuses to use the bucket.")
        return None


async def check_claims(root: ObjectStore, findings: Findings) -> None:
    """Claims at the bucket's root: of two confirmed ones that overlap, two installations write the same objects.

    Raises StorageError.
    """
    held: list[tuple[str, str, Claim]] = []
    for entry in await root.list(CLAIMS_PREFIX):
        claim = await check_claim(root, entry.key, findings)
        if claim is not None and claim.confirmed and not claim.released:
            held.append((claimed_prefix(entry.key), entry.key, claim))
    for at, (prefix, key, claim) in enumerate(held):
        for other, _, theirs in held[at + 1 :]:
            if overlap(prefix, other) and not claim.same_owner(theirs):
                findings.damage(key, "claims-overlap", f"{claim} and {theirs} both use it, or a folder in it.")
