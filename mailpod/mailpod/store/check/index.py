"""An account's checkpoints and pages: is every one whole, and does it say what its own columns add up to?"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mailpod.errors import Damaged, MailError
from mailpod.store.check.contents import Contents, each
from mailpod.store.check.finding import Findings, Repair
from mailpod.store.checkpoint import Root, RootBox, decode_root, load_state
from mailpod.store.location import Location
from mailpod.store.mailbox import Mailbox
from mailpod.store.names import checkpoint_key
from mailpod.store.nearby import Body, sound
from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.ops import PageRef, UnknownOperation
from mailpod.store.page import (
    BadPage,
    Page,
    decode_delivery,
    decode_meta,
    decode_state,
    decode_table,
)
from mailpod.store.state import State
from mailpod.store.unscanned import scan_rows

Kind: TypeAlias = Literal["metadata", "state", "table", "delivery"]
_INLINE: Final = 256 << 10  # octets
_KEPT: Final = 64  # decoded metadata pages


@dataclass(frozen=True, slots=True)
class BrokenPage:
    """A page that a checkpoint names and that is not what it should be. `what` it is for, in words."""

    kind: Kind
    ref: PageRef
    missing: bool
    what: str


class MissingPage(Exception):
    """The object is not there."""


class Index:
    """Reads each page once to check it; metadata pages are read again when their rows are wanted."""

    def __init__(self, objects: ObjectStore, found: Contents) -> None:
        self._objects = objects
        self._found = found
        self._checked: dict[tuple[str, bytes, Kind], bool | None] = {}  # None: missing
        self._tables: dict[str, list[PageRef]] = {}
        self._pages: dict[tuple[str, int], Page] = {}
        self.roots: dict[int, Root] = {}
        self.bad_roots: dict[int, str] = {}
        self.broken: dict[int, list[BrokenPage]] = {}
        """By the checkpoint's sequence; an empty list: whole."""

    # -- reading, as a state does

    def attach(self, box: Mailbox) -> None:
        """Give a mailbox what it needs to read its pages."""
        box.load_page = self.load_page
        box.load_table = self.load_table
        box.scan_rows = self.scan_rows

    async def get(self, ref: PageRef) -> bytes:
        """Raises MissingPage, StorageError."""
        try:
            return await self._objects.get(f"{self._found.prefix}page/{ref.id}")
        except NotFound:
            raise MissingPage(ref.id) from None

    def size(self, key: str) -> int | None:
        """Of an object of the account, as listed; `key` is relative to the account."""
        return self._found.size(key)

    async def load_page(self, ref: PageRef, _: bool) -> Page:
        """Raises BadPage, MissingPage, StorageError."""
        key = (ref.id, ref.shift)
        if key not in self._pages:
            while len(self._pages) >= _KEPT:
                del self._pages[next(iter(self._pages))]
            self._pages[key] = _page(await self.get(ref), ref).shifted(ref.shift)
        return self._pages[key]

    async def load_table(self, ref: PageRef) -> list[PageRef]:
        """Raises as load_page."""
        if ref.id not in self._tables:
            self._tables[ref.id] = decode_table(await self.get(ref), ref.sum)
        return self._tables[ref.id]

    async def scan_rows(self, page: Page, rows: Sequence[int]) -> Sequence[int]:
        """As Finder's. Raises StorageError."""
        return await scan_rows(page, rows, self._bodies, inline=_INLINE)

    async def _bodies(self, places: Sequence[Location]) -> AsyncGenerator[list[Body | MailError], None]:
        for at in places:
            try:
                key = self._found.prefix + at.key
                yield [sound(at, await self._objects.get_range(key, at.offset, at.offset + at.length))]
            except NotFound:
                yield [Damaged()]

    # -- checkpoints

    async def read(self) -> None:
        """Read every checkpoint, and what it names. Raises StorageError."""
        for seq in sorted(self._found.checkpoints):
            await self._root(seq)
        for seq in self.roots:
            self.broken[seq] = await self._broken(self.roots[seq])

    async def _root(self, seq: int) -> None:
        try:
            root = decode_root(await self._objects.get(checkpoint_key(self._found.prefix, seq)))
        except (BadPage, UnknownOperation) as error:
            self.bad_roots[seq] = str(error)
        except NotFound:
            self._found.checkpoints.pop(seq, None)  # collected since the listing
        else:
            if root.seq == seq:
                self.roots[seq] = root
            else:
                self.bad_roots[seq] = f"it is the checkpoint of commit {root.seq}"

    def whole(self) -> list[int]:
        """The sequences of the checkpoints that are whole, ascending."""
        return sorted(seq for seq, broken in self.broken.items() if not broken)

    def loadable(self) -> list[int]:
        """Those whose folders and flags can be read, though some messages' metadata cannot, ascending."""
        return sorted(
            seq for seq, broken in self.broken.items() if all(page.kind in ("metadata", "table") for page in broken)
        )

    async def _broken(self, root: Root) -> list[BrokenPage]:
        named = list(_named(root))
        sound = await each(lambda item: self._sound(item[0], item[1]), named)
        out = [
            BrokenPage(kind, ref, ok is None, what)
            for (kind, ref, what), ok in zip(named, sound, strict=True)
            if not ok
        ]
        for (kind, ref, what), ok in zip(named, sound, strict=True):
            if kind == "table" and ok:
                inner = await self.load_table(ref)
                checked = await each(lambda page: self._sound("metadata", page), inner)
                out += [
                    BrokenPage("metadata", page, good is None, what)
                    for page, good in zip(inner, checked, strict=True)
                    if not good
                ]
        return out

    async def _sound(self, kind: Kind, ref: PageRef) -> bool | None:
        key = (ref.id, ref.sum, kind)
        if key not in self._checked:
            self._checked[key] = await self._look(kind, ref)
        return self._checked[key]

    async def _look(self, kind: Kind, ref: PageRef) -> bool | None:
        if ref.id not in self._found.pages:
            return None
        try:
            data = await self.get(ref)
            match kind:
                case "metadata":
                    return len(_page(data, ref)) == ref.count
                case "state":
                    decode_state(data, ref.sum)
                case "table":
                    self._tables[ref.id] = decode_table(data, ref.sum)
                case "delivery":
                    decode_delivery(data, ref.sum)
        except MissingPage:
            return None
        except BadPage:
            return False
        return True

    async def state(self, seq: int) -> State:
        """The state of a whole checkpoint. Raises BadPage where its columns do not fit each other."""
        return await load_state(self.roots[seq], self.get, self.attach)

    async def references(self) -> set[str]:
        """The ids of all pages that a readable checkpoint names, those in tables too."""
        out: set[str] = set()
        for root in self.roots.values():
            out.update(ref.id for box in root.boxes for ref in box.search_pages())
            for kind, ref, _ in _named(root):
                out.add(ref.id)
                if kind == "table" and self._checked.get((ref.id, ref.sum, kind)):
                    out.update(page.id for page in await self.load_table(ref))
        return out


def _page(data: bytes, ref: PageRef) -> Page:
    """Raises BadPage, also where it says wrongly where its header fields end: clients would be told wrong ones."""
    page = decode_meta(data, ref.sum)
    try:
        if page.lines is not None and not page.lines.holds(page.fields):
            raise BadPage("the ends of its header fields are not where it says")
    except Damaged as error:
        raise BadPage("its header fields cannot be read") from error
    return page


def _named(root: Root) -> Iterator[tuple[Kind, PageRef, str]]:
    for box in root.boxes:
        for ref in box.pages:
            messages = f"the UIDs {ref.first} to {ref.last} of the folder {box.name!r}"
            yield ("table" if ref.table else "metadata"), ref, messages
        for ref in box.state:
            yield "state", ref, f"flags of the UIDs {ref.first} to {ref.last} of the folder {box.name!r}"
    for day, ref in root.deliveries:
        yield "delivery", ref, f"the deliveries of day {day} since 1970"


def sums(root: Root, state: State, key: str, findings: Findings, *, repair: Repair = "checkpoint") -> None:
    """Does a checkpoint's summary of each folder agree with its columns, and are its numbers in order?"""
    for entry in root.boxes:
        box = state.boxes[entry.id]
        for wrong in _wrong_sums(entry, box):
            findings.damage(
                key,
                "checkpoint-sums",
                f"The folder {box.name!r}: {wrong}. Clients are told wrong numbers.",
                repair=repair,
            )


def _wrong_sums(entry: RootBox, box: Mailbox) -> Iterator[str]:
    unseen = sum("\\Seen" not in box.flag_sets[flags] for flags in box.flags if flags < len(box.flag_sets))
    size = sum(box.sizes)
    if entry.unseen != unseen:
        yield f"{entry.unseen} unseen messages are noted, and {unseen} are there"
    if entry.bytes != size and max(box.sizes, default=0) < 0xFFFFFFFF:
        yield f"{entry.bytes} bytes are noted, and {size} are there"


def invariants(state: State, key: str, findings: Findings) -> None:
    """UIDVALIDITY, UIDNEXT and modseqs, which clients rely on for ever (RFC 3501 §2.3.1.1, RFC 7162 §3.1)."""
    validities = [box.uidvalidity for box in state.boxes.values()]
    if len(set(validities)) != len(validities):
        findings.damage(key, "uidvalidity", "Two folders have one UIDVALIDITY: clients may take one for the other.")
    for box in state.boxes.values():
        for wrong in _wrong_numbers(state, box):
            findings.damage(key, "numbers", f"The folder {box.name!r}: {wrong}.", repair="restore")


def _wrong_numbers(state: State, box: Mailbox) -> Iterator[str]:
    if not state.floor < box.uidvalidity <= state.last_uidvalidity:
        yield f"its UIDVALIDITY {box.uidvalidity} is not above {state.floor} and up to {state.last_uidvalidity}"
    if any(first >= second for first, second in zip(box.uids, box.uids[1:], strict=False)):
        yield "its UIDs do not ascend: clients would show wrong messages"
    if box.uids and box.uidnext <= box.uids[-1]:
        yield f"UIDNEXT {box.uidnext} is not above its last UID {box.uids[-1]}: a UID would be used twice"
    if box.highest_modseq > state.head or max(box.modseqs, default=0) > box.highest_modseq:
        yield f"its modseqs go above {min(state.head, box.highest_modseq)}: clients would miss changes of flags"
    if any(flags >= len(box.flag_sets) for flags in box.flags):
        yield "flags refer to a set that is not listed"
    if box.id >= state.next_box:
        yield f"its number {box.id} would be given again"
