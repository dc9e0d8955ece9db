"""The states of RFC 3501 §3, and what the table of commands says of each command."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from mailpod.imap.reply import Done, Held


class State(enum.Enum):
    """LOGOUT is no state here: the connection is closing then, and nothing is read."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"


ANY: Final = frozenset(State)
BEFORE_LOGIN: Final = frozenset([State.NOT_AUTHENTICATED])
UNSELECTED: Final = frozenset([State.AUTHENTICATED])
LOGGED_IN: Final = frozenset([State.AUTHENTICATED, State.SELECTED])
SELECTED: Final = frozenset([State.SELECTED])


@dataclass(frozen=True, slots=True)
class Rule:
    """`run(session, args)` raises MailError for NO and BAD, and returns None for a plain OK.

    `expunge`: EXPUNGE responses may come before its reply. `numbers`: it names messages by their numbers.
    """

    run: Callable[[Any, Any], Awaitable[Done | Held | None]]
    states: frozenset[State]
    expunge: bool = True
    numbers: bool = False
