"""LIST (RFC 3501 §6.3.8), with the options of RFC 5258 that SPECIAL-USE (RFC 6154 §2, §3) asks for.

Invariant: every name between a mailbox and the root is listed, as \\Noselect where no mailbox has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from mailpod.imap import wire
from mailpod.imap.matching import Matcher
from mailpod.imap.names import superiors

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ListArgs
    from mailpod.store import Account

_BATCH: Final = 500


async def run(session: Session, args: ListArgs) -> None:
    if args.patterns == ("",):
        # RFC 3501 §6.3.8: an empty name asks for the delimiter and the root of the reference
        session.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return
    matcher = Matcher(args.reference, args.patterns)
    lines = list(_lines(session.account, args, matcher))
    for start in range(0, len(lines), _BATCH):
        session.send(lines[start : start + _BATCH])
        await session.drained()


def _lines(account: Account, args: ListArgs, matcher: Matcher) -> Iterator[bytes]:
    existing = account.mailboxes
    parents = {parent for name in existing for parent in superiors(name)}
    names = existing.keys() | parents
    if "SUBSCRIBED" in args.selection:
        names = account.subscriptions
    for name in sorted(names, key=order):
        use = existing[name].special_use if name in existing else None
        if not matcher(name) or ("SPECIAL-USE" in args.selection and use is None):
            continue
        attributes = [_existence(name in existing, name in parents)]
        attributes.append(b"\\HasChildren" if name in parents else b"\\HasNoChildren")
        if use is not None:
            attributes.append(use.encode("ascii"))
        if name in account.subscriptions and "SUBSCRIBED" in (args.returns | args.selection):
            attributes.append(b"\\Subscribed")
        yield line(b"LIST", filter(None, attributes), name)


def _existence(exists: bool, has_children: bool) -> bytes:
    if exists:
        return b""
    return b"\\Noselect" if has_children else b"\\NonExistent"  # RFC 5258 §3.4


def order(name: str) -> tuple[bool, str]:
    """INBOX first."""
    return name != "INBOX", name


def line(response: bytes, attributes: Iterable[bytes], name: str) -> bytes:
    """`* LIST (attributes) "/" name`."""
    return b'* %b %b "/" %b\r\n' % (response, wire.parenthesized(attributes), wire.mailbox(name))
