"""A checkpoint that was planned: what it will write, its bytes, and what becomes of the state with it or without it.

- A plan is fixed at one commit (planning.py); the state moves on while its pages are encoded and written.
- Encoding touches nothing that the state shares, so it may run in a thread.
- Either `adopt_plan` or `abandon_plan` follows: what was taken out of the overlay is in a page, or in it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..checksum import checksum
from . import page as pages
from .checkpoint import Root, RootBox
from .mailbox import Mailbox, Segment, StateBase
from .ops import PageRef
from .page import Page
from .state import State


@dataclass(slots=True)
class Job:
    """A page to be written. `done` is given its reference."""

    kind: int
    content: Page | object
    first: int
    last: int
    count: int
    done: Callable[[PageRef], None]


@dataclass(slots=True)
class BoxPlan:
    box: Mailbox
    root: RootBox
    old_segments: list[Segment]
    segments: list[Segment] = field(default_factory=list)
    refs: list[PageRef | None] = field(default_factory=list)
    saved: StateBase | None = None
    folded: dict[int, int] = field(default_factory=dict)  # UID: how many of its moves the new page has


@dataclass(slots=True)
class Plan:
    """What a checkpoint will be, fixed at one commit."""

    root: Root
    jobs: list[Job] = field(default_factory=list)
    boxes: list[BoxPlan] = field(default_factory=list)
    deliveries: dict[int, tuple[int, PageRef | None]] = field(default_factory=dict)

    def unscanned(self) -> list[Page]:
        """Pages with messages of which something is to be found out before they are encoded (unscanned.py)."""
        return [job.content for job in self.jobs if isinstance(job.content, Page) and job.content.unscanned]


def encode_job(job: Job, identifier: str) -> bytes:
    """The page's bytes; the plan has its reference afterwards. Touches nothing that the state shares."""
    content = job.content
    data = pages.encode_meta(content) if isinstance(content, Page) else pages.seal(job.kind, content)
    job.done(PageRef(identifier, checksum(data), job.first, job.last, job.count, len(data)))
    return data


def complete_root(plan: Plan) -> Root:
    """The root of a plan whose pages are all encoded."""
    for made in plan.boxes:
        made.root.pages = [segment.ref for segment in made.segments if segment.ref is not None]
        made.root.state = [ref for ref in made.refs if ref is not None]
    plan.root.deliveries = [(day, ref) for day, (_, ref) in sorted(plan.deliveries.items()) if ref is not None]
    return plan.root


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
        for uid, count in made.folded.items():
            moves = box.relocated.pop(uid, [])[count:]
            if moves:
                box.relocated[uid] = moves
        box.base.refs = made.root.state
    state.delivery_refs = {day: (count, ref) for day, (count, ref) in plan.deliveries.items() if ref is not None}


def abandon_plan(plan: Plan) -> None:
    """The checkpoint does not exist: what it would have covered is uncovered again."""
    for made in plan.boxes:
        if made.saved is not None:
            base = made.box.base
            base.overlay |= made.saved.overlay
            base.dirty = made.saved.dirty + base.dirty
