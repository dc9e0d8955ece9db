"""How a state becomes a checkpoint: what is written anew, what is kept, fixed in one step.

- `make_plan` is synchronous, so what it describes is the state after one commit; the state moves on meanwhile.
- A root names only pages that exist: pages are written before the root is created (STORE.md rule 9).
- Only what changed is rewritten: new messages and small pages at the end; state pages once the overlay is full;
  metadata pages whose messages were relocated, where the caller has them in memory (`fetch_moved`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from . import page as pages
from .checkpoint import WITH_KEYS, WITH_LATER, Root, RootBox
from .homes import FIRST_PACK
from .little import little
from .mailbox import Mailbox, Segment, StateBase
from .ops import VERSION, PageRef
from .page import DeliveryPage, Page, StatePage, TablePage
from .planned import BoxPlan, Job, Plan
from .settings import StoreSettings
from .state import Inconsistent, State

TABLE_PAGES = 128  # pages that one table page takes in, once twice as many stand in the root


@dataclass(slots=True)
class Fetched:
    """Pages and tables with messages that were relocated: read before, so that they can be written anew."""

    pages: dict[tuple[str, int], Page] = field(default_factory=dict)
    tables: dict[str, list[PageRef]] = field(default_factory=dict)


async def fetch_moved(state: State, limit: int) -> Fetched:
    """What a checkpoint now would have to read to write relocated messages' pages anew; at most `limit` pages.

    Raises as page loaders do; then the moves stay in the checkpoint for another time.
    """
    fetched = Fetched()
    for box in list(state.boxes.values()):
        segments = list(box.segments)
        for uid in sorted(box.relocated):
            while segments and segments[0].last < uid:
                segments.pop(0)
            if not segments or segments[0].first > uid or (ref := segments[0].ref) is None:
                continue
            if ref.table:
                inner = fetched.tables[ref.id] = await box.load_table(ref)
                segments[:1] = [Segment(each.first, each.last, each) for each in inner if each.last >= uid]
                if not segments or segments[0].first > uid or (ref := segments[0].ref) is None:
                    continue
            if (ref.id, ref.shift) not in fetched.pages:
                if len(fetched.pages) >= limit:
                    return fetched
                fetched.pages[ref.id, ref.shift] = await box.load_page(ref, True)
    return fetched


def make_plan(
    state: State,
    settings: StoreSettings,
    by: str,
    peek: Callable[[PageRef], Page | None],
    fetched: Fetched | None = None,
) -> Plan:
    """Snapshot `state`. `peek` gives a page that is in memory already."""
    fetched = fetched or Fetched()
    root = Root(
        VERSION, state.head, state.head_id, state.head_at, by, state.floor, state.closed, state.next_box,
        state.last_uidvalidity, sorted(state.subscriptions), [], [], _held(state), state.homes.next_pack,
        sorted(state.annotations.items()),
    )  # fmt: skip
    if state.annotations or any(box.annotations or box.acl for box in state.boxes.values()):
        root.v = WITH_LATER
    if any(box.url_key for box in state.boxes.values()):
        root.v = WITH_KEYS
    plan = Plan(root)
    for box in sorted(state.boxes.values(), key=lambda box: box.id):
        _plan_box(plan, box, settings, peek, fetched)
    _plan_deliveries(plan, state)
    return plan


def _held(state: State) -> list[tuple[int, str, int, int]]:
    return [
        (held.number, held.key if held.number >= FIRST_PACK else "", held.messages, held.bytes)
        for held in sorted(state.homes.held())
    ]


def _plan_box(
    plan: Plan, box: Mailbox, settings: StoreSettings, peek: Callable[[PageRef], Page | None], fetched: Fetched
) -> None:
    root = RootBox(
        box.id, box.name, box.uidvalidity, box.object_id, box.special_use, box.uidnext, box.highest_modseq, box.exists,
        box.unseen, box.bytes, box.recent, list(box.keywords), [sorted(flags) for flags in box.flag_sets], [], [],
        StatePage(b"", b"", b"", b""),
    )  # fmt: skip
    made = BoxPlan(box, root, list(box.segments))
    _plan_meta(plan, made, settings, peek, fetched)
    _plan_state(plan, made, settings)
    root.relocated = [(uid, moves[:]) for uid, moves in sorted(box.relocated.items()) if uid not in made.folded]
    root.annotations = sorted(box.annotations.items())
    root.acl = [(who, *granted) for who, granted in sorted(box.acl.items())]
    root.url_key = box.url_key
    root.mapped = [each for each in box.search if _alive(box, each.terms.first, each.terms.last)]
    plan.root.boxes.append(root)
    plan.boxes.append(made)


def _live(box: Mailbox, segment: Segment) -> int:
    return _alive(box, segment.first, segment.last)


def _alive(box: Mailbox, first: int, last: int) -> int:
    return bisect_right(box.uids, last) - bisect_left(box.uids, first)


def _alive_rows(box: Mailbox, segment: Segment, source: Page) -> Sequence[int]:
    """Of the segment's page."""
    low, high = bisect_left(source.uids, segment.first), bisect_right(source.uids, segment.last)
    uids = source.uids[low:high]
    at = bisect_left(box.uids, uids[0]) if uids else 0
    if box.uids[at : at + len(uids)] == uids:
        return range(low, high)  # all: nearly always
    return [row for row, uid in enumerate(uids, low) if box.index(uid) >= 0]


def _plan_meta(
    plan: Plan, made: BoxPlan, settings: StoreSettings, peek: Callable[[PageRef], Page | None], fetched: Fetched
) -> None:
    """New messages become pages; small pages at the end are merged, so that each row is rewritten a few times only."""
    box = made.box
    for segment in made.old_segments:
        segment.sealed = True  # also one without live messages: what arrives from now on is not this checkpoint's
    if sum(_live(box, segment) for segment in made.old_segments) != len(box.uids):
        raise Inconsistent(f"mailbox {box.id} has messages that no page holds")
    kept = _kept(made, fetched)
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
        _keep_or_write(plan, made, segment, fetched)
    merged = Page()
    for segment, source in reversed(fresh):
        alive = _alive_rows(box, segment, source)
        while alive:
            room = settings.page_messages - len(merged)
            merged.take(source, alive[:room])
            alive = alive[room:]
            if len(merged) == settings.page_messages:
                _write_meta(plan, made, merged)
                merged = Page()
    if len(merged):
        _write_meta(plan, made, merged)
    _plan_tables(plan, made)


def _kept(made: BoxPlan, fetched: Fetched) -> list[Segment]:
    """Segments with live messages; a table whose pages are to be written anew is taken apart."""
    out: list[Segment] = []
    for segment in made.old_segments:
        ref = segment.ref
        if ref is None or not ref.table:
            parts = [segment]
        elif ref.id in fetched.tables:
            parts = [Segment(inner.first, inner.last, inner) for inner in fetched.tables[ref.id]]
        else:
            out.append(segment)
            continue
        out.extend(part for part in parts if _live(made.box, part))
    return out


def _keep_or_write(plan: Plan, made: BoxPlan, segment: Segment, fetched: Fetched) -> None:
    source = segment.page  # in memory, with pages of a COPY behind it
    if segment.ref is not None:
        source = fetched.pages.get((segment.ref.id, segment.ref.shift))
        if source is not None and not any(uid in made.box.relocated for uid in source.uids):
            source = None
    if source is None:
        made.segments.append(segment)
        return
    whole = Page()
    whole.take(source, _alive_rows(made.box, segment, source))
    _write_meta(plan, made, whole)


def _write_meta(plan: Plan, made: BoxPlan, page: Page) -> None:
    """`page` is ours alone: what was relocated stands in it where it now is."""
    made.box.settle_moves(page)
    made.folded.update((uid, len(made.box.relocated[uid])) for uid in page.uids if uid in made.box.relocated)
    segment = Segment(page.uids[0], page.uids[-1], page=page)
    made.segments.append(segment)

    def done(ref: PageRef) -> None:
        segment.ref = ref

    plan.jobs.append(Job(pages.META, page, segment.first, segment.last, len(page), done))


def _plan_tables(plan: Plan, made: BoxPlan) -> None:
    """Plain references before a table become one; of those at the end the first, once they are many."""
    at = len(made.segments)
    behind = False  # a table
    while at:
        end = at
        while at and not _is_table(made.segments[at - 1]):
            at -= 1
        if behind and at < end:
            _plan_table(plan, made, at, end)
        elif end - at >= 2 * TABLE_PAGES:
            _plan_table(plan, made, at, at + TABLE_PAGES)
        while at and _is_table(made.segments[at - 1]):
            at, behind = at - 1, True


def _is_table(segment: Segment) -> bool:
    return segment.ref is not None and segment.ref.table


def _plan_table(plan: Plan, made: BoxPlan, start: int, end: int) -> None:
    """Unless one of the pages is only being written now: then at the next checkpoint."""
    run = made.segments[start:end]
    if any(segment.ref is None for segment in run):
        return
    refs = [segment.ref for segment in run if segment.ref is not None]
    table = Segment(refs[0].first, refs[-1].last)
    made.segments[start:end] = [table]

    def done(ref: PageRef) -> None:
        table.ref = msgspec.structs.replace(ref, table=True)

    count = sum(ref.count for ref in refs)
    plan.jobs.append(Job(pages.TABLE, TablePage(refs), table.first, table.last, count, done))


def _plan_state(plan: Plan, made: BoxPlan, settings: StoreSettings) -> None:
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


def _write_state(plan: Plan, made: BoxPlan, low: int, high: int, first: int, last: int) -> None:
    box = made.box
    content = StatePage(
        little(box.uids[low:high]),
        little(box.flags[low:high]),
        little(box.modseqs[low:high]),
        little(box.sizes[low:high]),
        little(box.homes[low:high]),
    )
    at = len(made.refs)
    made.refs.append(None)

    def done(ref: PageRef) -> None:
        made.refs[at] = ref

    plan.jobs.append(Job(pages.STATE, content, first, last, high - low, done))


def _columns(entries: Sequence[tuple[int, int, int, int, int]]) -> StatePage:
    uids, flags, modseqs, sizes, homes = zip(*entries, strict=True) if entries else ((), (), (), (), ())
    return StatePage(
        little(array("I", uids)),
        little(array("I", flags)),
        little(array("Q", modseqs)),
        little(array("I", sizes)),
        little(array("I", homes)),
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

        plan.jobs.append(Job(pages.DELIVERY, DeliveryPage(day, b"".join(sorted(ids))), 0, 0, len(ids), done))
