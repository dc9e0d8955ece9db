"""What is written before a commit can refer to it: packs of large messages, pages of a COPY.

- Names are random and used once, so what is found at one after a failure can only be ours.
- When an upload began goes with what is made of it: a commit that comes a day later must not refer to it any more
  (STORE.md rule 10), since a collection may take it for garbage.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Final

from ..checksum import checksum
from ..errors import Expunged, Unavailable
from .begun import begin
from .blocks import pack_line
from .draft import CopySource, Prepared
from .mailbox import Mailbox
from .message import NewMessage
from .objects import AlreadyExists, Ambiguous, Buffer, StorageError
from .ops import PageRef, Record, replace_location
from .page import Page, encode_meta
from .unscanned import scan_one

if TYPE_CHECKING:
    from ..mime.scan import Scan
    from .store import Store
    from .together import Together


_BEGUN_BYTES: Final = 512 << 10
"""Of a commit's messages: below, handing them to a thread takes as long as it saves."""


class Uploads:
    """Of one account, whose prefix is `prefix`. Everything raises Unavailable at the commit deadline."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._settings = store.settings
        self._prefix = prefix

    @asynccontextmanager
    async def beginning(self, batch: Together) -> AsyncIterator[None]:
        """With the commit of these messages on its way; what is not completed is discarded."""
        if batch.octets >= _BEGUN_BYTES:
            batch.begun = begin(self._store.objects, batch.bodies, batch.line_bytes)
        try:
            yield
        finally:
            if batch.begun is not None:
                await batch.begun.discard()

    async def prepare(self, messages: Sequence[NewMessage]) -> list[Prepared]:
        """The messages' records; nothing is written yet."""
        found = [await scan_one(message.data, self._settings.scan_inline_bytes) for message in messages]
        now = int(self._store.clock.now())
        return [_prepared(message, each, now) for message, each in zip(messages, found, strict=True)]

    async def post(self, messages: Sequence[Prepared], threshold: int) -> None:
        """Move the bytes of messages above `threshold` into packs of their own (STORE.md rule 5)."""
        for message in messages:
            if message.data is None or len(message.data) <= threshold:
                continue
            posted, key = self._store.clock.elapsed(), f"pack/{self._store.random_id()}"
            await self.write_once(self._prefix + key, bytes(message.data))
            message.record = replace_location(message.record, (key, 0, message.record.loc[2]))
            message.data, message.posted = None, posted

    async def post_together(self, messages: Sequence[Prepared]) -> None:
        """Move the bytes of messages into one pack."""
        sums = [bytes.fromhex(message.record.sum) for message in messages]
        key, at, posted = await self._write_pack(sums, [message.data or b"" for message in messages])
        for message in messages:
            message.record = replace_location(message.record, (key, at, message.record.loc[2]))
            at += message.record.loc[2]
            message.data, message.posted = None, posted

    async def post_batch(self, batch: Together) -> None:
        """The same of messages that come in one operation, unless they are in one."""
        if not batch.key:
            batch.key, batch.at, batch.posted = await self._write_pack(batch.sums, batch.bodies)

    async def _write_pack(self, sums: Sequence[bytes], bodies: Sequence[Buffer]) -> tuple[str, int, float]:
        """The pack's key, where the first message begins in it, and when its upload began."""
        posted, key = self._store.clock.elapsed(), f"pack/{self._store.random_id()}"
        line = pack_line(sums, bodies)
        await self.write_once(self._prefix + key, b"".join((line, *bodies)))
        return key, len(line), posted

    async def write_once(self, key: str, data: bytes) -> None:
        """Write an object whose name nobody else has."""
        wait = self._settings.retry_base
        deadline = self._store.clock.elapsed() + self._settings.commit_deadline
        while True:
            try:
                if len(data) > self._settings.upload_bytes:
                    await self._store.objects.upload(key, _pieces(data, self._settings.upload_bytes))
                else:
                    await self._store.objects.create(key, [data])
                return
            except AlreadyExists:
                return
            except (Ambiguous, StorageError) as error:
                if self._store.clock.elapsed() + wait >= deadline:
                    raise Unavailable from error
            await self._store.clock.sleep(wait * self._store.rng.uniform(0.5, 1.0))
            wait = min(2 * wait, self._settings.retry_cap)

    async def copy_source(self, mailbox: Mailbox, uids: Sequence[int]) -> CopySource:
        """What the index knows of the messages, as records or, of many, as pages that are written now."""
        live = [uid for uid in uids if mailbox.index(uid) >= 0]
        saved = int(self._store.clock.now())
        keys: list[str] = []
        if len(live) <= self._settings.copy_inline_messages:
            records: list[Record] = []
            async for page, rows in mailbox.pages(live, whole=True):
                records.extend(page.record(row, saved=saved) for row in rows)
                keys.extend(page.key(row) for row in rows)
            return _whole(CopySource(live, keys, records, []), len(records))
        refs: list[PageRef] = []
        pending, first, posted = Page(), 1, inf
        async for page, rows in mailbox.pages(live, whole=True):
            keys.extend(page.key(row) for row in rows)
            for at in range(0, len(rows), self._settings.page_messages):
                pending.take(page, rows[at : at + self._settings.page_messages], saved=saved)
                if len(pending) >= self._settings.page_messages:
                    posted = min(posted, self._store.clock.elapsed())
                    refs.append(await self._post_page(pending, first))
                    first, pending = first + len(pending), Page()
        if len(pending):
            posted = min(posted, self._store.clock.elapsed())
            refs.append(await self._post_page(pending, first))
        return _whole(CopySource(live, keys, [], refs, posted), sum(ref.count for ref in refs))

    async def _post_page(self, page: Page, first: int) -> PageRef:
        page.uids = array("I", range(first, first + len(page)))
        identifier, data = self._store.random_id(), encode_meta(page)
        await self.write_once(f"{self._prefix}page/{identifier}", data)
        return PageRef(identifier, checksum(data), first, first + len(page) - 1, len(page), len(data))


def _prepared(message: NewMessage, found: Scan, now: int) -> Prepared:
    size = len(message.data)
    record = Record(
        date=now if message.internal_date is None else message.internal_date,
        saved=now,
        size=size,
        loc=("", 0, size),
        sum=checksum(message.data).hex(),
        hs=found.header_size,
        env=found.envelope.decode("latin-1"),
        bs=found.bodystructure.decode("latin-1"),
        hdr=found.fields.decode("latin-1"),
        other=found.names.decode("latin-1"),
        parts=found.parts,
        zone=message.internal_zone,
    )
    delivery = checksum(message.delivery_id.encode()).hex() if message.delivery_id else ""
    return Prepared(record, message.data, tuple(sorted(message.flags)), delivery, not_after=message.not_after)


def _whole(source: CopySource, found: int) -> CopySource:
    """A message whose record was not found must not take its neighbour's: better no copy than a wrong one."""
    if found != len(source.uids):
        raise Expunged
    return source


async def _pieces(data: bytes, size: int) -> AsyncIterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(data), size):
        yield view[start : start + size]
