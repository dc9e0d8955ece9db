"""An account's objects in words and numbers that JSON can hold: for people, and for what is worked out by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from mailpod.checksum import checksum
from mailpod.store.check.contents import Contents, contents
from mailpod.store.check.finding import Findings
from mailpod.store.check.index import Index, MissingPage
from mailpod.store.check.replay import Walk, read_header, walk_log
from mailpod.store.checkpoint import decode_root
from mailpod.store.little import unlittle
from mailpod.store.location import Location
from mailpod.store.names import checkpoint_key
from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.ops import PageRef, UnknownOperation, UrlKey
from mailpod.store.page import (
    DELIVERY,
    META,
    STATE,
    TABLE,
    BadPage,
    Page,
    decode_delivery,
    decode_meta,
    decode_state,
    decode_table,
)
from mailpod.store.postings import POSTINGS, TERMS, read_terms
from mailpod.store.state import State
from mailpod.store.texts import TEXTS


class NotThere(Exception):
    """There is no such thing in the account; the text says what there is instead."""


class Account:
    """One account as its objects are; `open` reads it."""

    def __init__(self, objects: ObjectStore, found: Contents, index: Index, walk: Walk) -> None:
        self._objects = objects
        self._found = found
        self._index = index
        self._walk = walk

    @classmethod
    async def open(cls, objects: ObjectStore, prefix: str) -> Account:
        """Raises StorageError."""
        found = await contents(objects, prefix)
        index = Index(objects, found)
        await index.read()
        return cls(objects, found, index, await walk_log(objects, found, index, Findings()))

    def summary(self) -> dict[str, Any]:
        """What there is, and the folders."""
        found, state = self._found, self._state
        commits = sorted(found.commits)
        return {
            "prefix": found.prefix,
            "head": state.head,
            "at": moment(state.head_at),
            "closed": state.closed,
            "readable": not self._walk.stopped or f"up to commit {self._walk.stopped - 1}: {self._walk.reason}",
            "log": {"commits": len(commits), "first": commits[0] if commits else None, "last": found.head},
            "checkpoints": {seq: "whole" if seq in self._index.whole() else "damaged" for seq in found.checkpoints},
            "pages": len(found.pages),
            "annotations": dict(sorted(state.annotations.items())),
            "packs": {name: entry.size for name, entry in found.packs.items()},
            "folders": [
                {
                    "name": box.name,
                    "use": box.special_use,
                    "messages": box.exists,
                    "unseen": box.unseen,
                    "bytes": box.bytes,
                    "uidvalidity": box.uidvalidity,
                    "uidnext": box.uidnext,
                    "highestmodseq": box.highest_modseq,
                    "annotations": dict(sorted(box.annotations.items())),
                    "rights": {who: rights for who, (_, rights) in sorted(box.acl.items())},
                    "url_key": _told(box.url_key),
                }
                for box in state.boxes.values()
            ],
        }

    @property
    def _state(self) -> State:
        if self._walk.state is None:
            raise NotThere("the account cannot be opened: mailpod fsck says why")
        return self._walk.state

    async def commit(self, seq: int) -> dict[str, Any]:
        """A commit's first line. Raises NotThere."""
        read = await read_header(self._objects, self._found.prefix, seq)
        if read is None:
            raise NotThere(f"no commit {seq}; there are {min(self._found.commits, default=0)} to {self._found.head}")
        if isinstance(read, str):
            raise NotThere(f"commit {seq}: {read}")
        header, length = read
        shown = tuple(UrlKey(op.box, _told(op.key)) if isinstance(op, UrlKey) else op for op in header.ops)
        out: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(header, ops=shown))
        return out | {"at": moment(header.at), "line": length, "size": length + header.bytes}

    async def checkpoint(self, seq: int) -> dict[str, Any]:
        """A checkpoint (0: the newest), its columns as counts. Raises NotThere."""
        there = sorted(self._found.checkpoints)
        if not there or (seq and seq not in there):
            raise NotThere(f"no such checkpoint; there are: {', '.join(map(str, there)) or 'none'}")
        seq = seq or there[-1]
        try:
            root = decode_root(await self._objects.get(checkpoint_key(self._found.prefix, seq)))
        except (BadPage, UnknownOperation, NotFound) as error:
            raise NotThere(f"checkpoint {seq}: {error}") from None
        for box in root.boxes:
            box.url_key = _told(box.url_key)
        out: dict[str, Any] = _plain(root)
        broken = [f"{page.kind} {page.ref.id}: {page.what}" for page in self._index.broken.get(seq, ())]
        return out | {"at": moment(root.at), "size": self._found.checkpoints[seq].size, "broken": broken}

    async def page(self, name: str) -> dict[str, Any]:
        """A page by its id. Raises NotThere."""
        if name not in self._found.pages:
            raise NotThere(f"no page {name}")
        data = await self._objects.get(f"{self._found.prefix}page/{name}")
        kind = data[4] if len(data) > 4 else 0
        out = {"id": name, "size": len(data), "sum": checksum(data).hex()}
        try:
            if kind == META:
                page = decode_meta(data, checksum(data))
                return out | {"kind": "metadata", "messages": [_row(page, row) for row in range(len(page))]}
            if kind == STATE:
                state = decode_state(data, checksum(data))
                columns = [unlittle("I", state.uids), unlittle("I", state.flags), unlittle("Q", state.modseqs)]
                rows = [list(row) for row in zip(*columns, strict=True)]
                return out | {"kind": "state", "uid, flag set, modseq": rows}
            if kind == TABLE:
                return out | {"kind": "table", "pages": [_plain(ref) for ref in decode_table(data, checksum(data))]}
            if kind == DELIVERY:
                found = decode_delivery(data, checksum(data))
                ids = [found.ids[at : at + 16].hex() for at in range(0, len(found.ids), 16)]
                return out | {"kind": "delivery", "day": moment(found.day * 86400)[:10], "ids": ids}
            if kind == TERMS:
                terms = read_terms(data, checksum(data))
                return out | {"kind": "terms", "uids": list(terms.uids), "blocks": len(terms.firsts)}
            if kind in (POSTINGS, TEXTS):
                return out | {"kind": "postings" if kind == POSTINGS else "texts"}
        except BadPage as error:
            raise NotThere(f"page {name} is damaged: {error}") from None
        raise NotThere(f"page {name} is of a kind that this version does not know: {kind}")

    async def pack(self, name: str) -> dict[str, Any]:
        """A pack by its id, and the live messages in it. Raises NotThere."""
        size = self._found.size(f"pack/{name}")
        if size is None:
            raise NotThere(f"no pack {name}")
        live = [
            {"folder": folder, "uid": page.uids[row], **_place(page.location(row))}
            async for folder, page, row in self._rows()
            if page.location(row).key == f"pack/{name}"
        ]
        return {"id": name, "size": size, "live": live}

    async def message(self, folder: str, uid: int) -> tuple[dict[str, Any], Location]:
        """What the index has of a message. Raises NotThere."""
        box = self._state.find(folder)
        if box is None:
            raise NotThere(f"no folder {folder!r}; there are: {', '.join(sorted(self._state.names))}")
        at = box.index(uid)
        if at >= 0:
            try:
                async for page, rows in box.pages([uid], scanned=False):
                    for row in rows:
                        if row in page.unscanned:
                            await box.scan_rows(page, [row])
                        flags = sorted(box.flag_sets[box.flags[at]])
                        found = {"folder": box.name, "flags": flags, "modseq": box.modseqs[at], **_row(page, row)}
                        return found, page.location(row)
            except (BadPage, MissingPage) as error:
                raise NotThere(f"the index of UID {uid} is damaged: {error}") from None
        raise NotThere(f"no UID {uid} in {folder!r}, which has {box.exists} messages below UIDNEXT {box.uidnext}")

    async def raw(self, at: Location) -> bytes:
        """A message's bytes, whatever its checksum says. Raises NotThere, StorageError."""
        try:
            return await self._objects.get_range(self._found.prefix + at.key, at.offset, at.offset + at.length)
        except NotFound:
            raise NotThere(f"its bytes are gone: there is no {at.key}") from None

    async def _rows(self) -> AsyncIterator[tuple[str, Page, int]]:
        for box in self._state.boxes.values():
            async for page, rows in box.pages(box.uids, scanned=False):
                for row in rows:
                    yield box.name, page, row


def _told(key: str) -> str:
    """That there is a secret, and not which."""
    return "secret" if key else ""


def _row(page: Page, row: int) -> dict[str, Any]:
    return {
        "uid": page.uids[row],
        "date": moment(page.dates[row]),
        "saved": moment(page.saved[row]),
        "size": page.sizes[row],
        "email_id": page.email_ids[row].decode("latin-1"),
        **_place(page.location(row)),
        "envelope": page.envelopes[row].decode("latin-1"),
        "structure": page.structures[row].decode("latin-1"),
    }


def _place(at: Location) -> dict[str, Any]:
    return {"object": at.key, "offset": at.offset, "length": at.length, "sum": at.checksum.hex()}


def _plain(value: Any) -> Any:
    """Structs as maps, references to pages by name, and bytes as their number or, of checksums, in hex."""
    match value:
        case PageRef():
            return {name: _plain(getattr(value, name)) for name in ("id", "first", "last", "count", "length", "shift")}
        case msgspec.Struct():
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        case bytes():
            return value.hex() if len(value) == 16 else f"{len(value)} bytes"
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
