"""STORE and UID STORE (RFC 3501 §6.4.6).

Invariants: one commit for the whole set, durable before anything is said. The client always can tell the flags: .SILENT
leaves out only what follows from its own command, never what another session did to the same message meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.errors import CannotDo, Expunged
from mailpod.imap.sequence import resolve, uids_of, without

if TYPE_CHECKING:
    from array import array

    from mailpod.imap.session import Session
    from mailpod.imap.syntax import StoreArgs
    from mailpod.imap.view import View


async def run(session: Session, args: StoreArgs) -> None:
    """Raises CannotDo after EXAMINE, Expunged when messages asked for by number are gone."""
    view = session.view
    if view.read_only:
        raise CannotDo("The mailbox is selected read-only")
    positions = resolve(args.set, view, args.uid)
    uids, before = uids_of(view, positions), _flags(view, positions)
    unknown = view.owed()
    if uids:
        await view.account.store_flags(view.mailbox, uids, args.mode, args.flags)
    gone = view.gone(positions)
    if args.silent:
        # What others did to these messages is told once, by their flags after this command.
        expected = _followed(view, args, uids, before, _flags(view, positions))
        view.settle([uid for uid in expected if uid not in unknown] if unknown else expected)
    else:
        view.settle(uids)
        for part in without(positions, [view.seq_of(uid) - 1 for uid in gone]):
            session.send(view.flags_wire(part, args.uid))
    if gone and not args.uid:
        raise Expunged()  # RFC 5530 §3; for UIDs RFC 3501 §6.4.8 asks for no error


def _flags(view: View, positions: Sequence[range]) -> list[int]:
    out: list[int] = []
    for part in positions:
        out += view.flag_column(part)
    return out


def _followed(view: View, args: StoreArgs, uids: array[int], before: list[int], after: list[int]) -> Sequence[int]:
    """The UIDs whose flags are what this STORE makes of those the client knew: one look a distinct change."""
    sets = [frozenset(map(str.lower, flags)) for flags in view.flag_sets()]
    given = frozenset(map(str.lower, args.flags))
    number = {flags: index for index, flags in enumerate(sets)}
    expected = {old: number.get(_expected(args.mode, sets[old], given), -2) for old in set(before)}
    if list(map(expected.__getitem__, before)) == after:
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
