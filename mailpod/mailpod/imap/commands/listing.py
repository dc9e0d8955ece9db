"""LIST (RFC 3501 §6.3.8; RFC 5258, RFC 5819, RFC 6154, RFC 8440, RFC 9590).

Invariant: every name between a mailbox and the root is listed, as \\Noselect where no mailbox has it, or none that the
user may look up (RFC 4314 §4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from mailpod.imap import wire
from mailpod.imap.annotations import annotations_of, may_annotate
from mailpod.imap.commands import status
from mailpod.imap.commands.acl import my_rights
from mailpod.imap.matching import Matcher
from mailpod.imap.names import order, superiors
from mailpod.imap.places import OTHERS, own_mailboxes, shared_mailboxes
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.places import Listed
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ListArgs

_BATCH: Final = 500
_BASE: Final = ("SUBSCRIBED", "SPECIAL-USE")  # selection options that names can fail


async def run(session: Session, args: ListArgs) -> Done | None:
    """Raises Unavailable."""
    if args.patterns == ("",) and not args.extended:
        # RFC 3501 §6.3.8: an empty name asks for the delimiter and the root of the reference
        session.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return None
    if args.items or args.entries:
        await session.account.refresh()
    matcher = Matcher(args.reference, args.patterns)
    mailboxes = own_mailboxes(session)
    if matcher.reaches(OTHERS) and "SPECIAL-USE" not in args.selection:
        mailboxes |= await shared_mailboxes(session)
    listing = Listing(mailboxes, session.account.subscriptions, args, session.enabled.utf8_names)
    longest = 0
    for count, found in enumerate(list(listing.lines(matcher)), 1):
        name, response, selectable = found
        session.send(response)
        listed = mailboxes[name] if selectable else None
        if listed is not None:
            session.send(_more(session, args, name, listed))
        if listed is not None and args.entries and (listed.own or may_annotate(listed.mailbox, listed.access)):
            utf8 = session.enabled.utf8_names
            annotated, kept_back = annotations_of(name, listed.mailbox, listed.access, args.entries, utf8)
            session.send(annotated)  # RFC 9590 §3
            longest = max(longest, kept_back)
        if count % _BATCH == 0:
            await session.drained()
    await session.drained()
    return Done(b"METADATA LONGENTRIES %d" % longest) if longest else None


def _more(session: Session, args: ListArgs, name: str, listed: Listed) -> bytes:
    """MYRIGHTS and STATUS, after the name's LIST (RFC 8440 §3, RFC 5819 §2)."""
    out, mailbox, access = b"", listed.mailbox, listed.access
    if "MYRIGHTS" in args.returns:
        out = my_rights(wire.mailbox(name, session.enabled.utf8_names), access.rights(mailbox))
    if args.items and access.may(mailbox, "r"):  # RFC 4314 §4: STATUS needs it
        out += status.line(session, mailbox, args.items, access.shown)
    return out


class Listing:
    """Names at one moment, and what is said of each."""

    def __init__(
        self, mailboxes: Mapping[str, Listed], subscribed: Collection[str], args: ListArgs, utf8: bool
    ) -> None:
        self._args = args
        self._utf8 = utf8
        self._mailboxes = mailboxes
        self._subscribed = frozenset(subscribed)
        self._parents = {parent for name in self._mailboxes for parent in superiors(name)}
        self._bases = [option for option in _BASE if option in args.selection]

    def lines(self, matcher: Matcher) -> Iterator[tuple[str, bytes, bool]]:
        """Names in order, their responses, and whether STATUS may be told of them."""
        names = self._mailboxes.keys() | self._parents
        if "SUBSCRIBED" in self._args.selection:
            names = names | self._subscribed
        selected = set(filter(self._selected, names))
        chosen = set(filter(matcher, selected))
        above, told = set[str](), set[str]()
        if "RECURSIVEMATCH" in self._args.selection:
            above = _above(selected)
            told = set(filter(matcher, _above(selected - chosen)))
        for name in sorted(chosen | told, key=order):
            # RFC 5258 §3.5, its table: of all that is listed. For its sake alone only what is above names that are not.
            below = self._bases if name in above else ()
            response = line(b"LIST", self.attributes(name), name, below=below, utf8=self._utf8)
            # RFC 5819 §2: no STATUS of what is not selectable, or is listed for CHILDINFO only
            yield name, response, name in self._mailboxes and name in chosen

    def _selected(self, name: str) -> bool:
        """RFC 5258 §3.1: every selection option must hold."""
        if "SUBSCRIBED" in self._bases and name not in self._subscribed:
            return False
        return "SPECIAL-USE" not in self._bases or self._use(name) is not None

    def _use(self, name: str) -> str | None:
        listed = self._mailboxes.get(name)
        # another's Sent is not where this user's mail goes
        return listed.mailbox.special_use if listed is not None and listed.own else None

    def attributes(self, name: str) -> list[bytes]:
        args, out = self._args, list[bytes]()
        if name not in self._mailboxes:
            out.append(b"\\NonExistent" if args.extended else b"\\Noselect")  # RFC 5258 §3: the latter follows
        if not args.extended or "CHILDREN" in args.returns:
            out.append(b"\\HasChildren" if name in self._parents else b"\\HasNoChildren")
        use = self._use(name)
        if use is not None:
            out.append(use.encode("ascii"))
        if name in self._subscribed and "SUBSCRIBED" in (args.returns | args.selection):
            out.append(b"\\Subscribed")
        return out


def _above(names: Iterable[str]) -> set[str]:
    return {parent for name in names for parent in superiors(name)}


def line(
    response: bytes,
    attributes: Iterable[bytes],
    name: str,
    *,
    below: Iterable[str] = (),
    old: str = "",
    utf8: bool = False,
) -> bytes:
    """`* LIST (attributes) "/" name`, with CHILDINFO where `below` says what is below, OLDNAME (RFC 5465) where
    it was renamed."""
    info = wire.parenthesized(b'"%b"' % option.encode("ascii") for option in below)
    data = b' ("CHILDINFO" %b)' % info if below else b""
    if old:
        data = b' ("OLDNAME" (%b))' % wire.mailbox(old, utf8)
    return b'* %b %b "/" %b%b\r\n' % (response, wire.parenthesized(attributes), wire.mailbox(name, utf8), data)
