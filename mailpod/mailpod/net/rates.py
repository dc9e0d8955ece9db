"""How many recipients a user may write to: a stolen password shall not send a million messages. Or a client may.

Each user has a bucket of tokens that fills within the hour. It is this pod's own: with several pods a user may reach as
many times the number as there are pods.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_HOUR: Final = 3600.0
_USERS: Final = 20_000  # remembered; who has not sent for longest is forgotten first, with a full bucket


class Rates:
    """One a pod."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._users: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, at which time

    def take(self, user: str, now: float) -> bool:
        """One more recipient at `now` (Clock.elapsed); False when there are too many."""
        tokens, then = self._users.pop(user, (float(self._per_hour), now))
        tokens = min(self._per_hour, tokens + (now - then) * self._per_hour / _HOUR)
        taken = tokens >= 1
        self._users[user] = (tokens - 1 if taken else tokens, now)
        if len(self._users) > _USERS:
            self._users.popitem(last=False)
        return taken
