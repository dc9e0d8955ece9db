"""Giving and taking rights (RFC 4314 §3.1): checked against the newest state, as one operation of the next commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import LimitReached, NoSuchMailbox
from .ops import Grant
from .rights import Who, ordered

if TYPE_CHECKING:
    from .draft import Draft


def grant(draft: Draft, name: str, who: Who, change: Callable[[str], str]) -> None:
    """`change` makes of the rights that they have now those that they will have. Raises NoSuchMailbox, LimitReached."""
    box = draft.state.find(name)
    if box is None:
        raise NoSuchMailbox(name)
    before = box.acl.get(who.address, ("", ""))
    # rights of an account that is no more are nobody's, and none is added to them
    rights = ordered(change(before[1] if before[0] == who.incarnation else ""))
    most = draft.settings.grants
    if who.address not in box.acl and len(box.acl) >= most:
        raise LimitReached(f"A mailbox may be shared with {most} accounts")
    if (who.incarnation, rights) != before and (rights or who.address in box.acl):
        draft.operations.append(Grant(box.id, who.address, who.incarnation, rights))
