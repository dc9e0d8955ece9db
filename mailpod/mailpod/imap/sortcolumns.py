"""What SORT and THREAD compare, column by column of a page (RFC 5256 §2, RFC 5957 §3). No I/O.

Invariant: each column is derived from the page alone and kept with it, so that a mailbox pays once for a message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mailpod.imap.derived import derive
from mailpod.mime.envelopes import Address, heads
from mailpod.mime.keys import Ids, Subject, ids_of, mailbox_key, sent, subject_key, text_key, words_key
from mailpod.store.rows import take

if TYPE_CHECKING:
    from mailpod.store import Page

Column: TypeAlias = "Callable[[Page, Sequence[int]], Sequence[Any]]"


def subjects(page: Page, rows: Sequence[int]) -> Sequence[Subject]:
    return derive(page, "subjects", rows, lambda rows: list(map(subject_key, take(page.envelopes, rows))))


def bases(page: Page, rows: Sequence[int]) -> Sequence[str]:
    return derive(page, "bases", rows, lambda rows: [subject.base for subject in subjects(page, rows)])


def dates(page: Page, rows: Sequence[int]) -> Sequence[int]:
    return derive(page, "dates", rows, lambda rows: [sent(page.fields[row], page.dates[row]) for row in rows])


def ids(page: Page, rows: Sequence[int]) -> Sequence[Ids]:
    return derive(page, "ids", rows, lambda rows: list(map(ids_of, take(page.fields, rows))))


def thread_ids(page: Page, rows: Sequence[int]) -> Sequence[bytes]:
    """THREADID, the same for all who name one first reference (RFC 8474 §5.2): it hangs on no other message."""

    def make(rows: Sequence[int]) -> list[bytes]:
        named = zip(ids(page, rows), take(page.email_ids, rows), strict=True)
        return [_thread_id(each.references[0] if each.references else each.own or email) for each, email in named]

    return derive(page, "threads", rows, make)


def _thread_id(root: bytes) -> bytes:
    return b"T" + sha256(root).hexdigest()[:32].encode()


def _display(address: Address | None) -> str:
    """RFC 5957 §3: the display name of the first address, or of the group that it is in; else the address."""
    if address is None:
        return ""
    name = words_key(address.name or b"")
    if name:
        return name
    if address.host is None:
        return words_key(address.mailbox or b"")
    return text_key(b"%b@%b" % (address.mailbox or b"", address.host))


def _of_address(key: str, which: Callable[[Any], Address | None], text: Callable[[Address | None], str]) -> Column:
    def column(page: Page, rows: Sequence[int]) -> Sequence[str]:
        return derive(page, key, rows, lambda rows: [text(which(heads(wire))) for wire in take(page.envelopes, rows)])

    return column


COLUMNS: Final[dict[str, Column]] = {
    "ARRIVAL": lambda page, rows: take(page.dates, rows),
    "CC": _of_address("CC", lambda found: found.cc, mailbox_key),
    "DATE": dates,
    "DISPLAYFROM": _of_address("DISPLAYFROM", lambda found: found.sender, _display),
    "DISPLAYTO": _of_address("DISPLAYTO", lambda found: found.to, _display),
    "FROM": _of_address("FROM", lambda found: found.sender, mailbox_key),
    "SIZE": lambda page, rows: take(page.sizes, rows),
    "SUBJECT": bases,
    "THREAD IDS": ids,
    "THREAD SUBJECT": subjects,
    "TO": _of_address("TO", lambda found: found.to, mailbox_key),
}
"""Sort keys, and what THREAD needs, and where their values come from."""
