"""ESEARCH (RFC 7377): one search in many mailboxes of the account, and in those that others share.

Invariants: what is found is named by UIDs; a mailbox in which nothing is found is not told of. The selected mailbox is
searched as the client was told of it, the others as they are; of these only what is being searched is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mailpod.errors import LimitReached
from mailpod.imap import wire
from mailpod.imap.commands.search import begin, check_charset, context_of, find, keep, saved
from mailpod.imap.filters import chosen
from mailpod.imap.lexer import BadCommand
from mailpod.imap.messagelimit import check_together
from mailpod.imap.places import own_place, release, sharing
from mailpod.imap.results import esearch, head
from mailpod.imap.syntax_search import SELECTED, Return
from mailpod.imap.view import View

if TYPE_CHECKING:
    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import MultisearchArgs

_ALL: Final = Return(frozenset(("ALL",)))


async def run(session: Session, args: MultisearchArgs) -> None:
    """Raises LimitReached, MessageLimit, and what reading messages raises."""
    check_charset(session, args.search)
    wanted = args.search.returns or _ALL
    only_selected = all(each.kind == SELECTED for each in args.filters)
    _check(session, args, wanted, only_selected)
    if not only_selected:
        await session.account.refresh()
    places = [] if only_selected else await sharing(session, _named(session, args))
    try:
        await _search(session, args, wanted, _others(places, args))
    finally:
        release(places)


async def _search(session: Session, args: MultisearchArgs, wanted: Return, others: dict[str, Place]) -> None:
    names = _names(session, args, others)
    selected = session.selected
    whole = names != [session.selected.shown] if session.selected is not None else True
    if whole:
        await _check_messages(session, args, names, others)
    context = None
    if wanted.update and selected is not None:
        context = context_of(session, args.search, (), _head(session, selected))
    for name in names:
        view = _view(session, name, others)
        if view is None:
            continue
        search = begin(session, args.search, view)
        found = search.run(args.search.key) if whole else find(session, search, args.search)
        positions = await saved(view, wanted, found)
        # RFC 7377 §2.1: no response, whatever was asked for, where nothing is found
        if positions:
            session.send(esearch(search, _head(session, view), args.search, wanted, positions))
        if context is not None and view is selected:
            keep(session, context, [view.uids[at] for at in positions])
            context = None
        await session.drained()
    if context is not None:  # RFC 7377 §2.2: updates are of the selected mailbox only
        session.send(b"* NO [NOUPDATE %b] The selected mailbox was not searched\r\n" % wire.string(session.tag))


def _check(session: Session, args: MultisearchArgs, wanted: Return, only_selected: bool) -> None:
    if session.selected is None and (wanted.update or any(each.kind == SELECTED for each in args.filters)):
        raise BadCommand("No mailbox is selected")
    if "SAVE" in wanted.options and not only_selected:
        raise BadCommand("Only of the selected mailbox a result is saved")  # RFC 7377 §2.2


def _named(session: Session, args: MultisearchArgs) -> set[str]:
    """Names that may lead to others' mailboxes."""
    names = {name for each in args.filters for name in each.names}
    return names | session.account.subscriptions if any(each.kind == "SUBSCRIBED" for each in args.filters) else names


def _others(places: Sequence[Place], args: MultisearchArgs) -> dict[str, Place]:
    """Others' mailboxes that may be searched. RFC 7377 §2.2: with "r", and "l" where the client did not name them."""
    named = {name for each in args.filters for name in each.names}
    found: dict[str, Place] = {}
    for place in places:
        for name, mailbox in place.account.mailboxes.items():
            shown = place.access.shown + name
            if place.access.may(mailbox, "r") and (shown in named or place.access.may(mailbox, "l")):
                found[shown] = replace(place, name=name)
    return found


def _names(session: Session, args: MultisearchArgs, others: dict[str, Place]) -> list[str]:
    account = session.account
    names = chosen(args.filters, account.mailboxes.keys(), account.subscriptions, others.keys())
    if session.selected is not None and any(each.kind == SELECTED for each in args.filters):
        names = list(dict.fromkeys((session.selected.shown, *names)))
    most = session.services.settings.imap.multisearch_mailboxes
    if len(names) > most:
        raise LimitReached(f"More than {most} mailboxes are to be searched")
    return names


async def _check_messages(
    session: Session, args: MultisearchArgs, names: Sequence[str], others: dict[str, Place]
) -> None:
    if session.services.settings.imap.message_limit is not None:
        views = [view for name in names if (view := _view(session, name, others)) is not None]
        await check_together(session, [begin(session, args.search, view) for view in views], args.search.key)


def _view(session: Session, name: str, others: dict[str, Place]) -> View | None:
    selected = session.selected
    return selected if selected is not None and selected.shown == name else _other(session, name, others)


def _other(session: Session, name: str, others: dict[str, Place]) -> View | None:
    """None where it was deleted, or may not be read any more."""
    place = others.get(name) or own_place(session, name)
    mailbox = place.account.mailboxes.get(place.name)
    if mailbox is None or not place.access.may(mailbox, "r"):
        return None
    return View(place.account, mailbox, read_only=True, enabled=session.enabled, access=place.access)


def _head(session: Session, view: View) -> bytes:
    name = wire.mailbox(view.shown, session.enabled.utf8_names)
    return head(session.tag, uid=True, where=b" MAILBOX %b UIDVALIDITY %d" % (name, view.mailbox.uidvalidity))
