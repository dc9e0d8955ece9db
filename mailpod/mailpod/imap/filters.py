"""The mailboxes that a client means without naming each (RFC 5465 §6, RFC 7377 §2.2). No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mailpod.imap.names import DELIMITER, order, superiors

if TYPE_CHECKING:
    from mailpod.imap.syntax_search import MailboxFilter

INBOXES: Final = ("INBOX", "Junk")  # RFC 5465 §6.3: what mail is delivered to


def chosen(
    filters: Sequence[MailboxFilter],
    own: Collection[str],
    subscribed: Collection[str],
    others: Collection[str] = frozenset(),
) -> list[str]:
    """The names that the filters choose of one's own and others' mailboxes, but for "selected"; each once, in the order
    of the filters. What does not exist is passed over."""
    names = {*own, *others}
    found = (name for each in filters for name in _of(each, own, names, subscribed) if name in names)
    return list(dict.fromkeys(found))


def _of(
    each: MailboxFilter, own: Collection[str], names: Collection[str], subscribed: Collection[str]
) -> Iterator[str]:
    match each.kind:
        case "INBOXES":
            yield from INBOXES
        case "PERSONAL":
            yield from sorted(own, key=order)
        case "SUBSCRIBED":
            yield from sorted(subscribed, key=order)
        case "MAILBOXES":
            yield from each.names
        case "SUBTREE":
            roots = set(each.names)
            yield from (name for name in sorted(names, key=order) if roots & {name, "", *superiors(name)})
        case "SUBTREE-ONE":
            roots = set(each.names)
            yield from (name for name in sorted(names, key=order) if roots & {name, name.rpartition(DELIMITER)[0]})
