"""FUZZY of keys with a string: how like messages are to it (RFC 6203), by postings, pages, or their own text.

Invariant: postings and pages give what reading the messages would give.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from mailpod.imap.syntax_search import Body, Header, Text
from mailpod.mime.collation import casemap
from mailpod.mime.headers import CACHED_FIELDS, field_values, parse_fields
from mailpod.mime.likeness import Likeness
from mailpod.mime.text import decode_header, decoded_text
from mailpod.store.rows import take

if TYPE_CHECKING:
    from mailpod.imap.search import Search
    from mailpod.store import Where


async def likened(search: Search, key: Header | Body | Text, open_: Sequence[int]) -> dict[int, int]:
    """Positions among `open_` (ascending) whose messages are like the key's string, and how much. Raises what reading
    messages raises."""
    likeness = Likeness(key.value)
    if not likeness.words or not open_:
        return {}
    if isinstance(key, Header):
        found = await (_by_page if key.name in CACHED_FIELDS else _by_header)(search, key.name, likeness, open_)
    else:
        found = await _by_text(search, likeness, "text" if isinstance(key, Text) else "body", open_)
    return {position: score for position, score in found.items() if score}


async def _by_page(search: Search, name: bytes, likeness: Likeness, open_: Sequence[int]) -> dict[int, int]:
    out: dict[int, int] = {}
    async for page, rows, positions in search.pages(open_):
        scores = (_of_values(field_values(raw, name), likeness) for raw in take(page.fields, rows))
        out |= zip(positions, scores, strict=True)
    return out


async def _by_header(search: Search, name: bytes, likeness: Likeness, open_: Sequence[int]) -> dict[int, int]:
    read = search.read_headers(lambda raw: _of_values(parse_fields(raw).get(name, ()), likeness), name, open_)
    async with aclosing(read):
        return {position: score async for position, score in read}


def _of_values(values: Sequence[bytes], likeness: Likeness) -> int:
    return likeness.of([casemap(decode_header(value)) for value in values]) if values else 0


async def _by_text(search: Search, likeness: Likeness, where: Where, open_: Sequence[int]) -> dict[int, int]:
    view, headers = search.view, where == "text"
    known = await view.account.resembling(view.mailbox, likeness, search.uids(open_), where)
    out = {view.seq_of(uid) - 1: score for uid, score in known.scores.items()}
    left = [view.seq_of(uid) - 1 for uid in array("I", known.left)]
    read = search.read(
        lambda data, parts, size: likeness.of(map(casemap, decoded_text(data, parts, size, headers=headers))), left
    )
    async with aclosing(read):
        return out | {position: score async for position, score in read}
