"""FETCH and UID FETCH (RFC 3501 §6.4.5, §6.4.8; RFC 7162 §3.1.4, §3.2.6).

Invariants: \\Seen is durable, in one commit for the whole set, before the first response that shows a body. Responses
are streamed: what is in memory is a piece of a page or a batch of bodies, and the client's reading paces it. Sequence
numbers are the view's, which does not change meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from mailpod.errors import AccountReadOnly, Damaged, Expunged, MailError, NoPermission
from mailpod.imap import resync
from mailpod.imap.download import Download
from mailpod.imap.fetchbody import PageSections, Run
from mailpod.imap.fetchwire import Lines, add_metadata, flags_of, modseqs_of, positions_of, row_uids
from mailpod.imap.lexer import BadCommand
from mailpod.imap.messagelimit import check_page, newest
from mailpod.imap.results import slice_of
from mailpod.imap.sections import Section, marks_seen, section_of
from mailpod.imap.sequence import resolve, uids_of
from mailpod.imap.sets import runs
from mailpod.imap.syntax import FetchArgs, FetchAttr, SequenceSet
from mailpod.store.batches import batches

if TYPE_CHECKING:
    from mailpod.imap.enabled import Enabled
    from mailpod.imap.session import Session
    from mailpod.imap.view import View
    from mailpod.store import Body, Page

SEEN: Final = "\\Seen"
_BATCH: Final = 512 * 1024  # octets of bodies a write
_ROWS: Final = 1000  # responses without bodies a write
_FLAG_ROWS: Final = 20_000
_STRUCTURE: Final = frozenset({"ENVELOPE", "BODY", "BODYSTRUCTURE"})
_TOLD: Final = frozenset({"UID", "FLAGS", "MODSEQ", "INTERNALDATE", "RFC822.SIZE", "SAVEDATE", "EMAILID"})
"""What is known of a message before anybody looked at it."""
_END: Final = b")\r\n"
_PAGES_A_TURN: Final = 3  # looked up, beside the one that is sent, for reading ahead

_Piece: TypeAlias = "tuple[Page, Sequence[int]]"


@dataclass(frozen=True, slots=True)
class _Plan:
    names: tuple[str, ...]
    sections: tuple[Section, ...]
    seen: bool

    @property
    def structure(self) -> bool:
        return not _STRUCTURE.isdisjoint(self.names)

    @property
    def scanned(self) -> bool:
        """Whether it asks for what is found out of messages' bytes, beside these."""
        return not _TOLD.issuperset(self.names) or not all(section.whole for section in self.sections)

    @property
    def arrays_only(self) -> bool:
        return not self.sections and set(self.names) <= {"FLAGS", "UID", "MODSEQ"}


async def run(session: Session, args: FetchArgs, *, asked: bool = True) -> None:
    """Raises Expunged at the end when messages asked for by number could not be had, MessageLimit, and what the store
    raises.

    A message that another session expunged is answered as long as its data is there (RFC 2180 §4.1.1).
    """
    view = session.view
    if args.vanished and not (args.uid and view.enabled.qresync):  # RFC 7162 §3.2.6
        raise BadCommand("VANISHED is for UID FETCH once QRESYNC is enabled")
    plan = _plan(args, view.enabled)
    if "MODSEQ" in plan.names:
        session.enabled.condstore = True  # RFC 7162 §3.1
    if args.partial is not None:
        check_page(session, args.partial)
    positions = resolve(args.set, view, args.uid)
    if args.partial is not None:  # RFC 9394 §3.3; §3.4: of all in the set, before those that changed are chosen
        positions = runs(slice_of([at for part in positions for at in part], args.partial))
    if args.changed_since is not None:
        positions = _changed(session, view, args, args.changed_since, positions)
    positions, limited = newest(session, view, positions) if asked else (positions, None)
    if plan.arrays_only:
        session.limited = limited
        await _flags(session, view, plan, positions)
        return
    seen = await _mark_seen(view, positions) if plan.seen and not view.read_only and view.may("s") else frozenset()
    session.limited = limited
    failure = await _Fetch(session, view, plan, seen).stream(positions)
    # RFC 3501 §6.4.8: UIDs that do not exist are no error, and the EXPUNGE follows at once. RFC 5530 §3 for numbers.
    if failure is not None and not (args.uid and isinstance(failure, Expunged)):
        raise failure


async def run_unasked(session: Session, view: View) -> None:
    """What NOTIFY and searches with UPDATE want of new messages (RFC 5465 §5.2, §7). What cannot be had is not told."""
    wanted, view.unfetched = view.unfetched, {}
    # RFC 7162 §3.1: whatever brings a FETCH, it has MODSEQ once CONDSTORE is enabled; but none above what is still owed
    known = view.enabled.condstore and view.modseq == view.mailbox.highest_modseq
    more = (FetchAttr("MODSEQ"),) if known else ()
    for items, group in groupby(sorted(wanted), key=wanted.__getitem__):
        ranges = tuple((uid, uid) for uid in group)
        with suppress(MailError):
            wants = tuple(dict.fromkeys(items + more))
            await run(session, FetchArgs(SequenceSet(ranges), wants, uid=True), asked=False)


def _changed(session: Session, view: View, args: FetchArgs, since: int, positions: Sequence[range]) -> list[range]:
    """RFC 7162 §3.1.4.1, and §3.2.6: VANISHED (EARLIER) comes before any FETCH."""
    if args.vanished:
        session.send(resync.vanished(view, since, resync.uid_ranges(args.set, view)))
    return view.changed_since(since, positions)


def _plan(args: FetchArgs, enabled: Enabled) -> _Plan:
    sections = [section for section in map(section_of, args.items) if section is not None]
    names = [item.name for item in args.items if isinstance(item, FetchAttr) and section_of(item) is None]
    if args.uid and "UID" not in names and not enabled.uidonly:
        names.insert(0, "UID")  # RFC 3501 §6.4.8; RFC 9586 §3.3 names messages by it already
    seen = any(map(marks_seen, args.items))
    if seen and enabled.qresync and not enabled.uidonly and "UID" not in names:
        # RFC 7162 §3.2.4; it wants so with CONDSTORE alone, too, where Dovecot does not, and clients' tests neither
        names.insert(0, "UID")
    if seen and enabled.condstore and "FLAGS" in names and "MODSEQ" not in names:
        names.append("MODSEQ")  # RFC 7162 §3.1: flags that this command changes come with their MODSEQ
    return _Plan(tuple(names), tuple(sections), seen)


async def _flags(session: Session, view: View, plan: _Plan, positions: Sequence[range]) -> None:
    for part in positions:
        for start in range(part.start, part.stop, _FLAG_ROWS):
            piece = range(start, min(start + _FLAG_ROWS, part.stop))
            uid, modseq = "UID" in plan.names, "MODSEQ" in plan.names
            if "FLAGS" in plan.names:
                session.send(view.flags_wire(piece, uid, modseq))
                view.settle(view.uids[piece.start : piece.stop])
            else:
                session.send(view.numbers_wire(piece, uid, modseq))
            await session.drained()


async def _mark_seen(view: View, positions: Sequence[range]) -> frozenset[int]:
    """Set \\Seen where it is missing; the UIDs whose new FLAGS go with the response."""
    unseen = [SEEN not in flags for flags in view.flag_sets()]
    uids: list[int] = []
    for part in positions:
        column = view.flag_column(part)
        uids += (uid for uid, flags in zip(uids_of(view, [part]), column, strict=True) if unseen[flags])
    if uids:
        try:
            await view.account.store_flags(view.mailbox, uids, "add", [SEEN], guard=view.guard("s"))
        except (AccountReadOnly, NoPermission):  # STORE.md rule 16: its mail stays readable; RFC 4314 §4
            return frozenset()
    return frozenset(uids)


class _Fetch:
    """One command's responses on their way."""

    def __init__(self, session: Session, view: View, plan: _Plan, seen: frozenset[int]) -> None:
        self._session = session
        self._view = view
        self._plan = plan
        self._seen = seen
        self._failure: MailError | None = None
        self._out: list[Body] = []  # with bodies, laid out
        self._size = 0  # octets of those
        self._whole = bool(plan.sections) and all(section.whole for section in plan.sections)
        ahead = session.services.settings.imap.read_ahead if view.mailbox.pages_ahead else 0
        self._download = Download(view.account, session.services.budget, ahead)

    async def stream(self, positions: Sequence[range]) -> MailError | None:
        """Send all responses; the first failure that cost a message its response."""
        missing = sum(map(len, positions))
        damaged: list[int] = []
        uids, plan = uids_of(self._view, positions), self._plan
        pages = self._view.mailbox.pages(uids, damaged=damaged, whole=plan.structure, scanned=plan.scanned)
        async with aclosing(pages), aclosing(self._download), aclosing(self._pieces(pages)) as pieces:
            async for page, rows in pieces:
                missing -= len(rows)
                await self._piece(page, rows)
        for uid in damaged:
            self._owe(uid)
        if damaged:
            return Damaged(f"The index of {len(damaged)} messages is damaged in storage; contact the administrator")
        return self._failure or (Expunged() if missing else None)

    async def _pieces(self, pages: AsyncGenerator[tuple[Page, list[int]], None]) -> AsyncGenerator[_Piece, None]:
        """What is answered at once; of a download, some are looked up before their turn, so that they are read."""
        ready: deque[_Piece] = deque()
        last = False
        while not last or ready:
            looked_up = 0
            while not last and (not ready or (self._download.wants_more and self._whole and looked_up < _PAGES_A_TURN)):
                found = await anext(pages, None)
                if found is None:
                    last = True
                    break
                page, rows = found
                ready.extend((page, rows[start : start + _ROWS]) for start in range(0, len(rows), _ROWS))
                looked_up += 1
                if self._whole:
                    self._download.add(page.locations(rows))
            if self._whole:
                self._download.begin(last=last)
            if ready:
                yield ready.popleft()

    async def _piece(self, page: Page, rows: Sequence[int]) -> None:
        if self._whole:
            await self._whole_bodies(page, rows, self._layout(page, rows))
            return
        sections = PageSections(self._plan.sections, page, rows)
        columns = sections.columns()
        lines = self._layout(page, rows)
        if columns is not None:
            for section, column in zip(self._plan.sections, columns, strict=True):
                lines.item(section.label)
                lines.literals(column)
            lines.text(b")\r\n")
            self._session.send(b"".join(lines.flat()))
            await self._session.drained()
            return
        values = sections.runs(self._view.account, self._session.services.budget)
        await self._bodies(page, rows, lines, values)

    def _layout(self, page: Page, rows: Sequence[int]) -> Lines:
        """The responses up to their sections."""
        view, plan = self._view, self._plan
        uids = row_uids(page, rows)
        positions = positions_of(view, uids)
        named = [view.named(part) for part in positions]
        lines = Lines([number for numbers, _ in named for number in numbers], named[0][1])
        newly = self._seen and "FLAGS" not in plan.names and not self._seen.isdisjoint(uids)
        flags = flags_of(view, positions) if newly or "FLAGS" in plan.names else []
        if flags:
            self._session.send(view.new_keywords())
            view.settle(self._seen.intersection(uids) if newly else uids)
        wants_modseq = "MODSEQ" in plan.names or (newly and view.enabled.condstore)
        modseqs = modseqs_of(view, positions) if wants_modseq else []
        add_metadata(lines, plan.names, page, rows, flags, modseqs, rev2=view.enabled.rev2)
        if newly:
            new = [b"FLAGS (%b) " % wire for wire in flags]
            if wants_modseq and "MODSEQ" not in plan.names:  # RFC 7162 §3.1: new flags come with their MODSEQ
                new = [b"%bMODSEQ (%d) " % pair for pair in zip(new, modseqs, strict=True)]
            lines.some([item if uid in self._seen else b"" for uid, item in zip(uids, new, strict=True)])
        return lines

    async def _whole_bodies(self, page: Page, rows: Sequence[int], lines: Lines) -> None:
        """The usual download: nothing but what lies ready in memory is done a message at a time."""
        labels, heads = self._labels(lines), lines.each()
        at = 0
        async with aclosing(self._download.runs(len(rows))) as runs:
            async for run in runs:
                sizes = [0 if isinstance(each, MailError) else len(each) for each in run]
                for part in batches(sizes, _BATCH):
                    some, end = run[part], at + part.stop - part.start
                    if len(labels) == 1 and all(sizes[part]):  # what is empty is no literal
                        self._out += _with_wholes(heads[at:end], labels[0], cast("list[Body]", some), sizes[part])
                        self._size += sum(sizes[part])
                    else:
                        for each, row, head in zip(some, rows[at:end], heads[at:end], strict=True):
                            values = each if isinstance(each, MailError) else [each] * len(labels)
                            self._add(page.uids[row], head, labels, values)
                    at = end
                    if self._size > _BATCH:
                        await self._send()
        await self._send()

    async def _bodies(self, page: Page, rows: Sequence[int], lines: Lines, values: AsyncGenerator[Run, None]) -> None:
        labels = self._labels(lines)
        heads = zip(rows, lines.each(), strict=True)
        async with aclosing(values):
            async for run in values:
                for each, (row, head) in zip(run, heads, strict=False):
                    self._add(page.uids[row], head, labels, each)
                    if self._size > _BATCH:
                        await self._send()
        await self._send()

    def _labels(self, lines: Lines) -> list[bytes]:
        labels = [b" " + section.label for section in self._plan.sections]
        if lines.spaced:
            labels[0] = labels[0][1:]
        return labels

    def _add(self, uid: int, head: bytes, labels: Sequence[bytes], values: Sequence[Body | None] | MailError) -> None:
        """One message's response."""
        if isinstance(values, MailError):
            self._failure = self._failure or values
            self._owe(uid)
        else:
            self._size += _add_sections(self._out, head, self._plan.sections, labels, values)
            self._out.append(_END)

    async def _send(self) -> None:
        """What was laid out, and wait while the client does not read."""
        self._session.send(self._out)
        self._out, self._size = [], 0  # held by nobody here while the client takes its time
        await self._session.drained()

    def _owe(self, uid: int) -> None:
        if uid in self._seen or "FLAGS" in self._plan.names:
            self._view.owe(uid)


def _with_wholes(heads: Sequence[bytes], label: bytes, bodies: list[Body], sizes: Sequence[int]) -> list[Body]:
    """Responses in which whole messages come last."""
    pieces: list[Body] = [_END] * (3 * len(bodies))
    pieces[::3] = map((b"%b" + label.replace(b"%", b"%%") + b" {%d}\r\n").__mod__, zip(heads, sizes, strict=True))
    pieces[1::3] = bodies
    return pieces


def _add_sections(
    out: list[Body], head: bytes, sections: Sequence[Section], labels: Sequence[bytes], values: Sequence[Body | None]
) -> int:
    """One message's sections, behind what its response begins with; returns their octets."""
    size = 0
    for section, label, value in zip(sections, labels, values, strict=True):
        length = 0 if value is None else len(value)
        if length and not section.form:
            out += (b"%b%b {%d}\r\n" % (head, label, length), value or b"")
        else:
            out += (head, label, *section.wire(None if value is None else bytes(value)))
        head = b""
        size += length
    return size
