"""Checkpoints: the root of an account's index, and how a state comes back from it (FORMAT.md).

- Loading a root and applying the commits after it gives the state that replaying the whole log gives.
- planning.py writes them.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec
import zstandard

from ..checksum import checksum
from . import page as pages
from .little import unlittle
from .mailbox import Mailbox, Move, Segment
from .ops import VERSION, PageRef, UnknownOperation
from .page import GONE, BadPage, StatePage
from .postings import SearchRef
from .state import State

_MAGIC = b"MPC1"
WITH_LATER: Final = 2  # a root with what later operations did: who does not know them must not write one without it
WITH_KEYS: Final = 3  # and with what `urlkey` did, which came after them


class RootBox(msgspec.Struct):
    """A mailbox as the checkpoint has it; SELECT and STATUS are answered from these fields."""

    id: int
    name: str
    uidvalidity: int
    object_id: str
    use: str | None
    uidnext: int
    modseq: int
    exists: int
    unseen: int
    bytes: int
    recent: int
    keywords: list[str]
    sets: list[list[str]]
    pages: list[PageRef]
    state: list[PageRef]
    overlay: StatePage
    relocated: list[tuple[int, list[Move]]] = []
    search: list[list[PageRef | None]] = []
    annotations: list[tuple[str, str]] = []
    acl: list[tuple[str, str, str]] = []
    mapped: list[SearchRef] = []
    url_key: str = ""

    def search_pages(self) -> Iterator[PageRef]:
        """Those that earlier versions look up too."""
        for segment in self.search:
            yield from filter(None, segment)
        for ref in self.mapped:
            yield from ref.refs()


class Root(msgspec.Struct):
    """A checkpoint: the state after commit `seq`, whose id is `id`.

    `held` has the objects in which bytes of live messages are: number, key (empty for a commit, whose number is its
    sequence), messages, octets. Numbers stand in the column `homes` of state pages.
    """

    v: int
    seq: int
    id: str
    at: int
    by: str
    floor: int
    closed: bool
    next_box: int
    last_uidvalidity: int
    subscriptions: list[str]
    boxes: list[RootBox]
    deliveries: list[tuple[int, PageRef]]
    held: list[tuple[int, str, int, int]] | None = None
    next_pack: int = 0
    annotations: list[tuple[str, str]] = []


_ROOT = msgspec.msgpack.Decoder(Root)


def encode_root(root: Root) -> bytes:
    packed = zstandard.ZstdCompressor(3).compress(msgspec.msgpack.encode(root))
    return _MAGIC + checksum(packed) + packed


def decode_root(data: bytes) -> Root:
    """Raises BadPage, and UnknownOperation for a later version."""
    packed = memoryview(data)[20:]
    if data[:4] != _MAGIC or checksum(packed) != data[4:20]:
        raise BadPage("not a checkpoint, or damaged")
    try:
        root = _ROOT.decode(zstandard.ZstdDecompressor().decompress(packed))
    except msgspec.DecodeError as error:
        raise BadPage(str(error)) from error
    if root.v not in (VERSION, WITH_LATER, WITH_KEYS):
        raise UnknownOperation(f"checkpoint of format version {root.v}")
    return root


def page_id(rng: random.Random) -> str:
    return f"{rng.getrandbits(96):024x}"


GetPage = Callable[[PageRef], Awaitable[bytes]]


async def load_state(root: Root, get: GetPage, attach: Callable[[Mailbox], None]) -> State:
    """The state that `root` describes. Raises BadPage, and what `get` raises (NotFound: try the one before)."""
    state = State()
    state.new_mailbox = attach
    state.head, state.head_id, state.head_at = root.seq, root.id, root.at
    state.shaped = root.seq  # as far as is known
    state.floor, state.closed, state.next_box = root.floor, root.closed, root.next_box
    state.last_uidvalidity, state.subscriptions = root.last_uidvalidity, set(root.subscriptions)
    state.annotations = dict(root.annotations)
    refs = [ref for box in root.boxes for ref in box.state] + [ref for _, ref in root.deliveries]
    raw = dict(zip((ref.id for ref in refs), await asyncio.gather(*map(get, refs)), strict=True))
    if root.held is None or sum(held[2] for held in root.held) != sum(box.exists for box in root.boxes):
        raise BadPage("a checkpoint that does not say where all of its messages are")
    state.homes.restore(root.held, root.next_pack)
    for entry in root.boxes:
        box = _load_box(entry, [pages.decode_state(raw[ref.id], ref.sum) for ref in entry.state])
        box.ledger = state.homes
        attach(box)
        state.boxes[box.id] = state.names[box.name] = box
    for day, ref in root.deliveries:
        ids = pages.decode_delivery(raw[ref.id], ref.sum).ids
        state.deliveries[day] = {ids[at : at + 16] for at in range(0, len(ids), 16)}
        state.delivery_refs[day] = (len(state.deliveries[day]), ref)
    return state


def _load_box(entry: RootBox, state: Sequence[StatePage]) -> Mailbox:
    box = Mailbox(entry.id, entry.name, entry.uidvalidity, entry.object_id, entry.use)
    box.uidnext, box.highest_modseq, box.recent = entry.uidnext, entry.modseq, entry.recent
    box.unseen, box.bytes = entry.unseen, entry.bytes
    box.annotations = dict(entry.annotations)
    box.restore_flags(entry.keywords, entry.sets)
    for part in state:
        box.uids.extend(unlittle("I", part.uids))
        box.flags.extend(unlittle("I", part.flags))
        box.modseqs.extend(unlittle("Q", part.modseqs))
        box.sizes.extend(unlittle("I", part.sizes))
        box.homes.extend(unlittle("I", part.homes))
    box.base.refs = list(entry.state)
    _lay_over(box, entry.overlay)
    if not len(box.uids) == len(box.flags) == len(box.homes) == entry.exists:
        raise BadPage(f"mailbox {entry.id}: {len(box.uids)} messages in its pages, {entry.exists} in the checkpoint")
    box.segments = [Segment(ref.first, ref.last, ref) for ref in entry.pages]
    box.relocated = dict(entry.relocated)
    box.search = list(entry.mapped)
    box.acl = {who: (incarnation, rights) for who, incarnation, rights in entry.acl}
    box.url_key = entry.url_key
    box.forget_changes(entry.modseq)
    return box


def _lay_over(box: Mailbox, overlay: StatePage) -> None:
    uids, flags = unlittle("I", overlay.uids), unlittle("I", overlay.flags)
    modseqs, sizes = unlittle("Q", overlay.modseqs), unlittle("I", overlay.sizes)
    homes = unlittle("I", overlay.homes)
    through = box.base.through
    at = bisect_right(uids, through)
    gone = []
    for row in range(at):
        place = box.index(uids[row])
        if place >= 0 and flags[row] == GONE:
            gone.append(place)
        elif place >= 0:
            box.flags[place], box.modseqs[place], box.homes[place] = flags[row], modseqs[row], homes[row]
    box.drop(gone)
    box.base.overlay = set(uids[:at])
    columns = ((box.uids, uids), (box.flags, flags), (box.modseqs, modseqs), (box.sizes, sizes), (box.homes, homes))
    for column, more in columns:
        column.extend(more[at:])
