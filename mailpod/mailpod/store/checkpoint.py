"""Checkpoints: the root of an account's index, and how a state becomes pages and comes back (FORMAT.md).

- A root names only pages that exist: pages are written before the root is created (STORE.md rule 9).
- `plan` is one synchronous step, so what it describes is the state after one commit; the state moves on meanwhile.
- Loading a root and applying the commits after it gives the state that replaying the whole log gives.
"""

from __future__ import annotations

import asyncio
import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import zstandard

from . import page as pages
from .mailbox import Mailbox, Move, Segment, StateBase
from .ops import VERSION, PageRef, UnknownOperation
from .page import GONE, BadPage, DeliveryPage, Page, StatePage, TablePage, checksum, little, unlittle
from .settings import StoreSettings
from .state import Inconsistent, State

_MAGIC = b"MPC1"
TABLE_PAGES = 128  # pages that one table page takes in, once twice as many stand in the root


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


class Root(msgspec.Struct):
    """A checkpoint: the state after commit `seq`, whose id is `id`."""

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
    if root.v != VERSION:
        raise UnknownOperation(f"checkpoint of format version {root.v}")
    return root


def page_id(rng: random.Random) -> str:
    return f"{rng.getrandbits(96):024x}"


# -- writing


@dataclass(slots=True)
class _Job:
    """A page to be written. `done` is given its reference."""

    kind: int
    content: Page | object
    first: int
    last: int
    count: int
    done: Callable[[PageRef], None]


@dataclass(slots=True)
class _BoxPlan:
    box: Mailbox
    root: RootBox
    old_segments: list[Segment]
    segments: list[Segment]
    refs: list[PageRef | None]
    saved: StateBase | None


@dataclass(slots=True)
class Plan:
    """What a checkpoint will be, fixed at one commit."""

    root: Root
    jobs: list[_Job] = field(default_factory=list)
    boxes: list[_BoxPlan] = field(default_factory=list)
    deliveries: dict[int, tuple[int, PageRef | None]] = field(default_factory=dict)

    def rows(self) -> int:
        return sum(job.count for job in self.jobs)


def make_plan(state: State, settings: StoreSettings, by: str, peek: Callable[[PageRef], Page | None]) -> Plan:
    """Snapshot `state`. `peek` gives a page that is in memory already."""
    root = Root(
        VERSION, state.head, state.head_id, state.head_at, by, state.floor, state.closed, state.next_box,
        state.last_uidvalidity, sorted(state.subscriptions), [], [],
    )  # fmt: skip
    plan = Plan(root)
    for box in sorted(state.boxes.values(), key=lambda box: box.id):
        _plan_box(plan, box, settings, peek)
    _plan_deliveries(plan, state)
    return plan


def _plan_box(plan: Plan, box: Mailbox, settings: StoreSettings, peek: Callable[[PageRef], Page | None]) -> None:
    root = RootBox(
        box.id, box.name, box.uidvalidity, box.object_id, box.special_use, box.uidnext, box.highest_modseq, box.exists,
        box.unseen, box.bytes, box.recent, list(box.keywords), [sorted(flags) for flags in box.flag_sets], [], [],
        StatePage(b"", b"", b"", b""), sorted(box.relocated.items()),
    )  # fmt: skip
    made = _BoxPlan(box, root, list(box.segments), [], [], None)
    _plan_meta(plan, made, settings, peek)
    _plan_state(plan, made, settings)
    plan.root.boxes.append(root)
    plan.boxes.append(made)


def _live(box: Mailbox, segment: Segment) -> int:
    return bisect_right(box.uids, segment.last) - bisect_left(box.uids, segment.first)


def _plan_meta(plan: Plan, made: _BoxPlan, settings: StoreSettings, peek: Callable[[PageRef], Page | None]) -> None:
    """New messages become pages; small pages at the end are merged, so that each row is rewritten a few times only."""
    box = made.box
    for segment in made.old_segments:
        segment.sealed = True  # also one without live messages: what arrives from now on is not this checkpoint's
    if sum(_live(box, segment) for segment in made.old_segments) != len(box.uids):
        raise Inconsistent(f"mailbox {box.id} has messages that no page holds")
    kept = [segment for segment in made.old_segments if (segment.ref and segment.ref.table) or _live(box, segment)]
    fresh: list[tuple[Segment, Page]] = []
    while kept and kept[-1].ref is None and kept[-1].page is not None:
        fresh.append((kept[-1], kept.pop().page or Page()))
    rows = sum(_live(box, segment) for segment, _ in fresh)
    while rows and kept and (ref := kept[-1].ref) is not None and not ref.table:
        old = peek(ref)
        if old is None or ref.count > 2 * rows or rows + ref.count > settings.page_messages:
            break
        rows += _live(box, kept[-1])
        fresh.append((kept.pop(), old))
    for segment in kept:
        _keep_or_write(plan, made, segment)
    merged = Page()
    for segment, source in reversed(fresh):
        for row, uid in enumerate(source.uids):
            if segment.first <= uid <= segment.last and box.index(uid) >= 0:
                merged.take(source, (row,))
                if len(merged) == settings.page_messages:
                    _write_meta(plan, made, merged)
                    merged = Page()
    if len(merged):
        _write_meta(plan, made, merged)
    if sum(1 for segment in made.segments if segment.ref is not None and not segment.ref.table) >= 2 * TABLE_PAGES:
        _plan_table(plan, made)


def _keep_or_write(plan: Plan, made: _BoxPlan, segment: Segment) -> None:
    if segment.ref is None and segment.page is not None:  # in memory, with pages of a COPY behind it
        whole = Page()
        whole.take(segment.page, [row for row, uid in enumerate(segment.page.uids) if made.box.index(uid) >= 0])
        _write_meta(plan, made, whole)
    else:
        made.segments.append(segment)


def _write_meta(plan: Plan, made: _BoxPlan, page: Page) -> None:
    segment = Segment(page.uids[0], page.uids[-1], page=page)
    made.segments.append(segment)

    def done(ref: PageRef) -> None:
        segment.ref = ref

    plan.jobs.append(_Job(pages.META, page, segment.first, segment.last, len(page), done))


def _plan_table(plan: Plan, made: _BoxPlan) -> None:
    """The first TABLE_PAGES plain references move into a table page."""
    at = next(i for i, segment in enumerate(made.segments) if not (segment.ref and segment.ref.table))
    run = made.segments[at : at + TABLE_PAGES]
    if any(segment.ref is None for segment in run):
        return
    refs = [segment.ref for segment in run if segment.ref is not None]
    table = Segment(refs[0].first, refs[-1].last)
    made.segments[at : at + TABLE_PAGES] = [table]

    def done(ref: PageRef) -> None:
        table.ref = msgspec.structs.replace(ref, table=True)

    count = sum(ref.count for ref in refs)
    plan.jobs.append(_Job(pages.TABLE, TablePage(refs), table.first, table.last, count, done))


def _plan_state(plan: Plan, made: _BoxPlan, settings: StoreSettings) -> None:
    """Flags, modseqs and sizes: rewrite the pages with too many changes, list the rest in the overlay."""
    box, base = made.box, made.box.base
    through = base.through
    overlay, dirty = {uid for uid in base.overlay if uid <= through}, list(base.dirty)
    made.saved = StateBase(base.refs, overlay, base.dirty)
    if len(overlay) > settings.overlay_entries:
        dirty.extend((uid, uid) for uid in overlay)
    new = len(box.uids) - bisect_right(box.uids, through)
    ranges = _state_ranges(base.refs, dirty, box, settings, grow=new > settings.overlay_entries)
    for first, last, ref in ranges:
        low, high = bisect_left(box.uids, first), bisect_right(box.uids, last)
        if ref is not None:
            made.refs.append(ref)
        elif low < high:
            _write_state(plan, made, low, high, first, last)
    rewritten = [(first, last) for first, last, ref in ranges if ref is None]
    if rewritten:
        overlay = {uid for uid in overlay if not any(first <= uid <= last for first, last in rewritten)}
    covered = max((last for _, last, _ in ranges), default=0)
    box.base = StateBase(base.refs, overlay, [], covering=covered)
    entries = sorted(overlay) + list(box.uids[bisect_right(box.uids, covered) :])
    made.root.overlay = _columns([box.overlay_entry(uid) for uid in entries])


def _state_ranges(
    refs: Sequence[PageRef], dirty: Sequence[tuple[int, int]], box: Mailbox, settings: StoreSettings, *, grow: bool
) -> list[tuple[int, int, PageRef | None]]:
    """Ranges of UIDs, each with the page to keep or None for one to write."""
    out: list[tuple[int, int, PageRef | None]] = []
    marks = sorted(dirty)
    for ref in refs:
        hit = any(low <= ref.last and high >= ref.first for low, high in _near(marks, ref))
        out.append((ref.first, ref.last, None if hit else ref))
    if not grow:
        return out
    low = bisect_right(box.uids, refs[-1].last if refs else 0)
    if refs and refs[-1].count + len(box.uids) - low <= settings.state_page_messages:
        first = out.pop()[0]
        return [*out, (first, box.uids[-1], None)]
    for at in range(low, len(box.uids), settings.state_page_messages):
        high = min(at + settings.state_page_messages, len(box.uids))
        out.append((box.uids[at], box.uids[high - 1], None))
    return out


def _near(marks: list[tuple[int, int]], ref: PageRef) -> Iterable[tuple[int, int]]:
    return (mark for mark in marks[: bisect_right(marks, (ref.last, 1 << 40))] if mark[1] >= ref.first)


def _write_state(plan: Plan, made: _BoxPlan, low: int, high: int, first: int, last: int) -> None:
    box = made.box
    content = StatePage(
        little(box.uids[low:high]),
        little(box.flags[low:high]),
        little(box.modseqs[low:high]),
        little(box.sizes[low:high]),
    )
    at = len(made.refs)
    made.refs.append(None)

    def done(ref: PageRef) -> None:
        made.refs[at] = ref

    plan.jobs.append(_Job(pages.STATE, content, first, last, high - low, done))


def _columns(entries: Sequence[tuple[int, int, int, int]]) -> StatePage:
    uids, flags, modseqs, sizes = zip(*entries, strict=True) if entries else ((), (), (), ())
    return StatePage(
        little(array("I", uids)), little(array("I", flags)), little(array("Q", modseqs)), little(array("I", sizes))
    )


def _plan_deliveries(plan: Plan, state: State) -> None:
    for day in sorted(state.deliveries):
        ids = state.deliveries[day]
        count, ref = state.delivery_refs.get(day, (0, None))
        if ref is not None and count == len(ids):
            plan.deliveries[day] = (count, ref)
            continue
        plan.deliveries[day] = (len(ids), None)

        def done(ref: PageRef, day: int = day, count: int = len(ids)) -> None:
            plan.deliveries[day] = (count, ref)

        plan.jobs.append(_Job(pages.DELIVERY, DeliveryPage(day, b"".join(sorted(ids))), 0, 0, len(ids), done))


def encode_plan(plan: Plan, ids: Sequence[str]) -> list[tuple[str, bytes]]:
    """The pages' bytes, by their ids; the root is complete afterwards. Touches nothing that the state shares."""
    out = []
    for identifier, job in zip(ids, plan.jobs, strict=True):
        content = job.content
        data = pages.encode_meta(content) if isinstance(content, Page) else pages.seal(job.kind, content)
        job.done(PageRef(identifier, checksum(data), job.first, job.last, job.count, len(data)))
        out.append((identifier, data))
    for made in plan.boxes:
        made.root.pages = [segment.ref for segment in made.segments if segment.ref is not None]
        made.root.state = [ref for ref in made.refs if ref is not None]
    plan.root.deliveries = [(day, ref) for day, (_, ref) in sorted(plan.deliveries.items()) if ref is not None]
    return out


def adopt_plan(plan: Plan, state: State, remember: Callable[[PageRef, Page], None]) -> None:
    """The checkpoint exists: the state lets go of what now lies in pages."""
    for made in plan.boxes:
        box = made.box
        later = box.segments[len(made.old_segments) :]
        for segment in made.segments:
            if segment.page is not None and segment.ref is not None:
                remember(segment.ref, segment.page)
                segment.page = None
        box.segments = made.segments + later
        box.base.refs = made.root.state
    state.delivery_refs = {day: (count, ref) for day, (count, ref) in plan.deliveries.items() if ref is not None}


def abandon_plan(plan: Plan) -> None:
    """The checkpoint does not exist: what it would have covered is uncovered again."""
    for made in plan.boxes:
        if made.saved is not None:
            base = made.box.base
            base.overlay |= made.saved.overlay
            base.dirty = made.saved.dirty + base.dirty


# -- reading


GetPage = Callable[[PageRef], Awaitable[bytes]]


async def load_state(root: Root, get: GetPage, attach: Callable[[Mailbox], None]) -> State:
    """The state that `root` describes. Raises BadPage, and what `get` raises (NotFound: try the one before)."""
    state = State()
    state.new_mailbox = attach
    state.head, state.head_id, state.head_at = root.seq, root.id, root.at
    state.floor, state.closed, state.next_box = root.floor, root.closed, root.next_box
    state.last_uidvalidity, state.subscriptions = root.last_uidvalidity, set(root.subscriptions)
    refs = [ref for box in root.boxes for ref in box.state] + [ref for _, ref in root.deliveries]
    raw = dict(zip((ref.id for ref in refs), await asyncio.gather(*map(get, refs)), strict=True))
    for entry in root.boxes:
        box = _load_box(entry, [pages.decode_state(raw[ref.id], ref.sum) for ref in entry.state])
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
    box.restore_flags(entry.keywords, entry.sets)
    for part in state:
        box.uids.extend(unlittle("I", part.uids))
        box.flags.extend(unlittle("I", part.flags))
        box.modseqs.extend(unlittle("Q", part.modseqs))
        box.sizes.extend(unlittle("I", part.sizes))
    box.base.refs = list(entry.state)
    _lay_over(box, entry.overlay)
    if len(box.uids) != entry.exists or len(box.uids) != len(box.flags):
        raise BadPage(f"mailbox {entry.id}: {len(box.uids)} messages in its pages, {entry.exists} in the checkpoint")
    box.segments = [Segment(ref.first, ref.last, ref) for ref in entry.pages]
    box.relocated = dict(entry.relocated)
    box.forget_changes(entry.modseq)
    return box


def _lay_over(box: Mailbox, overlay: StatePage) -> None:
    uids, flags = unlittle("I", overlay.uids), unlittle("I", overlay.flags)
    modseqs, sizes = unlittle("Q", overlay.modseqs), unlittle("I", overlay.sizes)
    through = box.base.through
    at = bisect_right(uids, through)
    gone = []
    for row in range(at):
        place = box.index(uids[row])
        if place >= 0 and flags[row] == GONE:
            gone.append(place)
        elif place >= 0:
            box.flags[place], box.modseqs[place] = flags[row], modseqs[row]
    box.drop(gone)
    box.base.overlay = set(uids[:at])
    for column, more in ((box.uids, uids), (box.flags, flags), (box.modseqs, modseqs), (box.sizes, sizes)):
        column.extend(more[at:])
