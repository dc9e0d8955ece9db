"""STORE and UID STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3).

Invariants: one commit for the whole set, durable before anything is said; UNCHANGEDSINCE is compared inside it, so that
of two clients at two pods one wins. It fails where any flag was changed, though RFC 7162 §3.1.12 would spare what
changed others: of two clients that claim a message, each with a keyword of its own, both would win then. The client
always can tell the flags: .SILENT leaves out only what follows from its own command, never what another session did to
the same message meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyroaring import BitMap

from mailpod.errors import Expunged, NoPermission
from mailpod.imap import junk
from mailpod.imap.messagelimit import newest
from mailpod.imap.permanent import FLAG_RIGHTS
from mailpod.imap.reply import Done
from mailpod.imap.sequence import resolve, uids_of
from mailpod.imap.sets import wire, without
from mailpod.store import distinct
from mailpod.store.rights import right_of, rights_for

if TYPE_CHECKING:
    from array import array

    from mailpod.imap.session import Session
    from mailpod.imap.syntax import StoreArgs
    from mailpod.imap.view import View


async def run(session: Session, args: StoreArgs) -> Done | None:
    """Raises CannotDo after EXAMINE, NoPermission, Expunged when messages asked for by number are gone."""
    if args.unchanged_since is not None:
        session.enabled.condstore = True  # RFC 7162 §3.1
    view = session.view
    view.check_writable()
    args = _allowed(view, args)
    positions, limited = newest(session, view, resolve(args.set, view, args.uid))
    uids, before = uids_of(view, positions), _flags(view, positions)
    unknown = view.owed()
    modified: list[int] = []
    if uids:
        spared = _spared(view, args)
        whole = args.mode == "set" and spared is None
        modified = await view.account.store_flags(
            view.mailbox,
            uids,
            args.mode,
            args.flags,
            unchanged_since=args.unchanged_since,
            spared=spared,
            guard=view.guard("swt" if whole else rights_for(args.flags)),
        )
        junk.marked(session, args, uids, modified)
    session.limited = limited
    gone = view.gone(positions)
    if args.silent:
        # What others did to these messages is told once, by their flags after this command.
        expected = _followed(view, args, uids, before, _flags(view, positions))
        unsettled = unknown | BitMap(modified)
        view.settle([uid for uid in expected if uid not in unsettled] if unsettled else expected)
    else:
        view.settle(set(uids).difference(modified) if modified else uids)
    stored = without(positions, sorted(view.seq_of(uid) - 1 for uid in (*gone, *modified)))
    _tell(session, view, args, stored)
    return _reply(view, args, gone, modified)


def _allowed(view: View, args: StoreArgs) -> StoreArgs:
    """RFC 4314 §4: the flags that one may change; a STORE fails where it is none of them. Raises NoPermission."""
    if view.access.who is None:
        return args
    flags = view.access.allowed(view.mailbox, args.flags)
    if not (flags if args.flags else any(map(view.may, FLAG_RIGHTS))):
        raise NoPermission
    return replace(args, flags=flags)


def _spared(view: View, args: StoreArgs) -> Callable[[str], bool] | None:
    """What FLAGS leaves as it is, for want of a right."""
    if args.mode != "set" or all(map(view.may, FLAG_RIGHTS)):
        return None
    return lambda flag: not view.may(right_of(flag))


def _tell(session: Session, view: View, args: StoreArgs, stored: Sequence[range]) -> None:
    condstore = view.enabled.condstore
    uid = view.enabled.tells_uids or (args.uid and not view.enabled.uidonly)
    for part in stored:
        if not args.silent:
            session.send(view.flags_wire(part, uid, condstore))
        elif condstore:  # RFC 7162 §3.1.3: .SILENT does not keep the new MODSEQ from the client
            session.send(view.numbers_wire(part, uid, modseq=True))


class _Modified(Expunged):
    """RFC 7162 §3.1.3: the code of a STORE by numbers that found some messages changed and others gone."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.imap = ("NO", code)


def _reply(view: View, args: StoreArgs, gone: Sequence[int], modified: Sequence[int]) -> Done | None:
    code = b"MODIFIED %b" % wire(modified if args.uid else [view.seq_of(uid) for uid in modified]) if modified else b""
    if gone and not args.uid:  # RFC 5530 §3; for UIDs RFC 3501 §6.4.8 asks for no error
        raise _Modified(code.decode()) if modified else Expunged()
    return Done(code, b"Conditional STORE failed for some messages") if modified else None


def _flags(view: View, positions: Sequence[range]) -> list[int]:
    out: list[int] = []
    for part in positions:
        out += view.flag_column(part)
    return out


def _followed(view: View, args: StoreArgs, uids: array[int], before: list[int], after: list[int]) -> Sequence[int]:
    """The UIDs whose flags are what this STORE makes of those the client knew: one look a distinct change."""
    sets = [frozenset(map(str.lower, flags)) for flags in view.flag_sets()]
    given = frozenset(map(str.lower, args.flags))
    number = {flags: index for index, flags in reversed(list(enumerate(sets)))}  # the last stands for what is gone
    expected = {old: number.get(_expected(args.mode, sets[old], given), -2) for old in distinct(before)}
    wanted = list(expected.values()) * len(before) if len(expected) == 1 else list(map(expected.__getitem__, before))
    if wanted == after:
        return uids
    return [
        uid
        for uid, old, new in zip(uids, before, after, strict=True)
        if sets[new] == _expected(args.mode, sets[old], given)
    ]


def _expected(mode: str, old: frozenset[str], given: frozenset[str]) -> frozenset[str]:
    if mode == "add":
        return old | given
    return old - given if mode == "remove" else given
