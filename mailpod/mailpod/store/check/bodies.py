"""Every live message: has it a row in a page, do its bytes lie inside an object, and are they what was received?"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mailpod.checksum import checksum
from mailpod.store.check.contents import Contents, each
from mailpod.store.check.finding import Findings
from mailpod.store.check.index import Index, MissingPage
from mailpod.store.location import Location
from mailpod.store.mailbox import Mailbox
from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.ops import PageRef
from mailpod.store.page import BadPage, Page
from mailpod.store.state import State

_WHOLE: Final = 16 << 20  # bytes of an object that is read in one request; of a larger one the messages are


@dataclass(frozen=True, slots=True)
class Message:
    """A message as people know it."""

    folder: str
    uid: int
    at: Location

    def __str__(self) -> str:
        return f"UID {self.uid} of {self.folder!r}"


@dataclass(slots=True)
class Live:
    """What the live messages refer to."""

    messages: int = 0
    bytes: int = 0
    """Of distinct ranges: copies inside an account share theirs."""
    objects: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    """Messages by the object that holds their bytes, relative to the account."""
    pages: set[str] = field(default_factory=set)

    def bytes_in(self, key: str) -> int:
        return sum(length for _, length in {(one.at.offset, one.at.length) for one in self.objects.get(key, ())})


async def live_messages(state: State, index: Index, found: Contents, findings: Findings, *, key: str) -> Live:
    """Read every metadata page that the state names. `key` is what named it, for findings. Raises StorageError."""
    live = Live()
    for box in state.boxes.values():
        rows = 0
        astray: list[Message] = []
        async for page, wanted in _pages(box, index, found, findings, live):
            rows += len(wanted)
            for row in wanted:
                message = Message(box.name, page.uids[row], page.location(row))
                live.objects[message.at.key].append(message)
                if state.homes.key(box.homes[box.index(message.uid)]) != message.at.key:
                    astray.append(message)
        live.messages += rows
        if astray:
            findings.damage(
                key, "homes",
                f"The account's books say that the bytes of {named(astray)} lie in other objects than the index says:"
                " collection may take away what is alive.", repair="restore",
            )  # fmt: skip
        lost = len(box.uids) - rows
        if lost and not any(item.kind.startswith("page-") for item in findings):
            findings.damage(key, "rows-missing", f"{lost} messages of the folder {box.name!r} stand in no page.")
    live.bytes = sum(map(live.bytes_in, live.objects))
    return live


async def _pages(
    box: Mailbox, index: Index, found: Contents, findings: Findings, live: Live
) -> AsyncIterator[tuple[Page, list[int]]]:
    """As Mailbox.pages, one range of UIDs at a time, so that a damaged page does not hide the others."""
    for first, last, ref in [part async for part in _ranges(box, index, found, findings, live)]:
        uids = box.uids[bisect_left(box.uids, first) : bisect_right(box.uids, last)]
        if not uids:
            continue
        if ref is not None:
            live.pages.add(ref.id)
        try:
            async for page, rows in box.pages(uids, scanned=False):
                yield page, rows
        except (BadPage, MissingPage) as error:
            _report(ref, box, uids, error, found, findings)


async def _ranges(
    box: Mailbox, index: Index, found: Contents, findings: Findings, live: Live
) -> AsyncIterator[tuple[int, int, PageRef | None]]:
    for segment in box.segments:
        ref = segment.ref
        if ref is None or not ref.table:
            yield segment.first, segment.last, ref
            continue
        live.pages.add(ref.id)
        try:
            for inner in await index.load_table(ref):
                yield inner.first, inner.last, inner
        except (BadPage, MissingPage) as error:
            uids = box.uids[bisect_left(box.uids, ref.first) : bisect_right(box.uids, ref.last)]
            _report(ref, box, uids, error, found, findings)


def _report(
    ref: PageRef | None, box: Mailbox, uids: Sequence[int], error: Exception, found: Contents, findings: Findings
) -> None:
    missing = isinstance(error, MissingPage)
    findings.damage(
        f"{found.prefix}page/{ref.id if ref is not None else ''}",
        "page-missing" if missing else "page-damaged",
        f"The index of {len(uids)} messages of the folder {box.name!r}, UIDs {uids[0]} to {uids[-1]}, "
        f"{'is not there' if missing else 'is damaged'}, and the log does not have them any more: they cannot be "
        "listed or read, though their bytes may be whole. Everything else in the account can.",
        repair="restore",
    )


def check_places(live: Live, found: Contents, findings: Findings) -> None:
    """Do all bytes lie inside an object that the listing shows?"""
    for key, messages in live.objects.items():
        size = found.size(key)
        outside = [one for one in messages if size is None or one.at.offset + one.at.length > size]
        if not outside:
            continue
        findings.damage(
            found.prefix + key,
            "bytes-missing" if size is None else "bytes-cut",
            f"{'It is not there' if size is None else f'It ends after {size} bytes'}: {named(outside)} cannot be read. "
            "Everything else in the account can.",
            repair="restore",
        )


async def check_bodies(
    objects: ObjectStore, live: Live, found: Contents, findings: Findings, tell: Callable[[float], None]
) -> None:
    """Every message's SHA-256, reading each object once. Raises StorageError."""
    done = 0

    async def one(key: str) -> None:
        nonlocal done
        if found.size(key) is not None:
            damaged = await _damaged(objects, found.prefix + key, live.objects[key], found.size(key) or 0)
            if damaged:
                findings.damage(
                    found.prefix + key,
                    "bytes-damaged",
                    f"The bytes of {named(damaged)} are not those that were received: they are not given to clients. "
                    "Everything else in the account is.",
                    repair="restore",
                )
        done += 1
        tell(done / len(live.objects))

    await each(one, sorted(live.objects), at_once=4)


async def _damaged(objects: ObjectStore, key: str, messages: Sequence[Message], size: int) -> list[Message]:
    try:
        whole = memoryview(await objects.get(key)) if size <= _WHOLE else None
    except NotFound:
        return list(messages)
    bad: list[Message] = []
    sound: dict[tuple[int, int, bytes], bool] = {}
    for one in sorted(messages, key=lambda message: message.at.offset):
        at = one.at
        place = at.offset, at.length, at.checksum
        if place not in sound:
            start, end = at.offset, at.offset + at.length
            try:
                data = whole[start:end] if whole is not None else await objects.get_range(key, start, end)
            except NotFound:
                return list(messages)
            sound[place] = checksum(data) == at.checksum
        if not sound[place] and at.offset + at.length <= size:  # else check_places has said so
            bad.append(one)
    return bad


def named(messages: Sequence[Message]) -> str:
    """So that an administrator can tell the user which."""
    shown = ", ".join(str(message) for message in messages[:5])
    count = "1 message" if len(messages) == 1 else f"{len(messages)} messages"
    return f"{count} ({shown}{', …' if len(messages) > 5 else ''})"
