"""Search postings are made in the background, a batch of messages at a time (FORMAT.md, "Search").

- Segments cover the beginning of a mailbox: what is behind the last of them is not indexed yet, and scanned.
- Small segments at the end are joined, so that a message's postings are written a few times only.
- It is done in turns of some milliseconds, in a thread, which wait until no client does (pace.py); one mailbox of a pod
  at a time, and what is in memory is one batch and the segments that it is joined with.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ..checksum import checksum
from ..errors import Damaged, Expunged
from ..logs import event
from ..mime.collation import casemap
from ..mime.text import decoded_text
from .batches import batches
from .fieldcolumns import row_of
from .location import Location
from .mailbox import Mailbox
from .objects import NotFound
from .ops import PageRef
from .page import Page
from .postings import Builder, Made, SearchRef, joined, words
from .settings import StoreSettings
from .sortkeys import Keys, keys_of
from .texts import frame

if TYPE_CHECKING:
    from .account import Account
    from .store import Store

_MOST: Final = 1 << 16  # characters of the distinct words of a text; a message with more is not indexed


_Indexed: TypeAlias = tuple[set[str], set[str], bytes]  # words of the body and of the own header; a frame


@dataclass(frozen=True, slots=True)
class _Text:
    """What is needed of a message. `data` is None where it is too large or damaged."""

    uid: int
    data: bytes | None
    parts: Sequence[int]
    header_size: int
    keys: Keys
    fields: bytes

    def indexed(self) -> _Indexed | None:
        """None where the message must always be read."""
        if self.data is None:
            return None
        header, *bodies = map(casemap, decoded_text(self.data, self.parts, self.header_size, headers=True))
        body: set[str] = set()
        for text in bodies:
            body |= words(text)
            if _size(body) > _MOST:
                return None
        named = words(header)
        if _size(body) + _size(named) > _MOST:
            return None
        packed = frame(header, bodies)
        return None if packed is None else (body, named, packed)


def _size(found: set[str]) -> int:
    return sum(map(len, found))


def due(box: Mailbox, settings: StoreSettings) -> bool:
    """Whether so many messages have no postings that some should be written."""
    return 0 < settings.search_due <= box.exists - bisect_right(box.uids, _through(box))


def behind(boxes: Iterable[Mailbox], settings: StoreSettings) -> int:
    """Messages of mailboxes in which some are to be indexed."""
    return sum(len(_tail(box)) for box in boxes if due(box, settings))


def _tail(box: Mailbox) -> array[int]:
    return box.uids[bisect_right(box.uids, _through(box)) :]


def _through(box: Mailbox) -> int:
    """The last UID that is indexed."""
    return box.search[-1].terms.last if box.search else 0


async def index(store: Store, account: Account) -> bool:
    """Index one batch where one is due; False where none is, or where that was in vain.

    Raises MailError, StorageError, Ambiguous; what was written then is garbage."""
    for box in list(account.log.served.boxes.values()):
        if due(box, store.settings):
            return await _index(store, account, box, _tail(box)[: store.settings.search_batch])
    return False


async def _index(store: Store, account: Account, box: Mailbox, uids: array[int]) -> bool:
    before = box.search
    builder = Builder()
    async for page, rows in box.pages(uids, damaged=[], whole=True):
        for part in batches([at.length for at in page.locations(rows)], store.settings.search_turn_bytes):
            async with store.pace.turn():
                await asyncio.to_thread(_take, builder, await _read(store, account, page, rows[part]))
    made = await _in_turns(store, builder.finish())
    first, count, kept = uids[0], len(builder), list(before)
    while kept and kept[-1].terms.count <= 2 * count and kept[-1].terms.count + count <= store.settings.search_segment:
        older = await _whole(store, account, kept[-1])
        if older is None:
            break
        made = await _in_turns(store, joined(older, made))
        first, count = kept[-1].terms.first, kept.pop().terms.count + count
    segment = await _write(store, account, made, (first, uids[-1], count))
    if box.search is not before or box.deleted:
        return False  # the account was read afresh meanwhile
    box.search = [*kept, segment]
    event("store.indexed", account=account.prefix, messages=count, bytes=segment.postings.length)
    return True


def _take(builder: Builder, texts: Sequence[_Text]) -> None:
    for text in texts:
        body, header, packed = text.indexed() or (None, (), b"")
        builder.add(text.uid, body, header, packed, text.keys, row_of(text.fields))


async def _in_turns(store: Store, steps: Iterator[Made | None]) -> Made:
    made = None
    while made is None:
        async with store.pace.turn():
            made = await asyncio.to_thread(next, steps)
    return made


async def _read(store: Store, account: Account, page: Page, rows: Sequence[int]) -> list[_Text]:
    """What is expunged meanwhile is left out."""
    out: list[_Text] = []
    for row in rows:
        at = page.location(row)
        try:
            data = await _body(store, account, at)
        except Expunged:
            continue
        keys, fields = keys_of(page, row), page.fields[row]
        out.append(_Text(page.uids[row], data, page.parts[row], page.header_sizes[row], keys, fields))
    return out


async def _body(store: Store, account: Account, at: Location) -> bytes | None:
    if at.length > store.settings.search_message_bytes:
        return None
    try:
        return await account.finder.body(at)
    except Damaged:
        return None


async def _whole(store: Store, account: Account, segment: SearchRef) -> Made | None:
    """The pages of a segment, to be joined with another; None where they are not what was written, or not all."""
    pages = []
    for ref in segment.refs():
        try:
            data = await store.objects.get(f"{account.prefix}page/{ref.id}")
        except NotFound:
            return None
        if checksum(data) != ref.sum:
            return None
        pages.append(data)
    return Made(*pages)


async def _write(store: Store, account: Account, made: Made, covers: tuple[int, int, int]) -> SearchRef:
    refs = []
    for data in made[::-1]:  # what is referred to comes first
        identifier = store.random_id()
        await account.uploads.write_once(f"{account.prefix}page/{identifier}", data)
        refs.append(PageRef(identifier, checksum(data), *covers, len(data)))
    return SearchRef(*refs[::-1])
