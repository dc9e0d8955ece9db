"""What authorized URLs open to the submission service (RFC 4468).

- Here is the one submission entity that RFC 4467 §3 speaks of: what is for `submit+` and a user opens to that user, who
  logged in to submit, and what that user may fetch by IMAP opens, too.
- Nothing is read before there is room for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mailpod.errors import Busy, Damaged, Expunged, TrustRequired, UrlFailed
from mailpod.imap.authorized import Closed, named, opened
from mailpod.imap.catenate import part_of
from mailpod.imap.places import account_of

if TYPE_CHECKING:
    from mailpod.auth.identity import Identity
    from mailpod.services import Services


class UrlOpener:
    """Services.urls of a pod."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def octets(self, url: bytes, identity: Identity, room: int, hold: Callable[[int], bool]) -> bytes:
        """At most `room` of them; `hold` says whether so many may be had.

        Raises UrlFailed, TrustRequired, TooBig, Busy, Unavailable.
        """
        try:
            return await self._octets(url, identity, room, hold)
        except (Closed, Expunged, Damaged):
            raise UrlFailed from None

    async def _octets(self, url: bytes, identity: Identity, room: int, hold: Callable[[int], bool]) -> bytes:
        wanted = named(self._services, url)
        now = self._services.clock.now()
        if wanted.owner is None or not wanted.authorization.permits(identity.address, now, submitting=True):
            raise TrustRequired
        async with account_of(self._services, identity.entry, wanted.owner) as found:
            account, mailbox = opened(found, wanted)
            return await part_of(account, mailbox, wanted.url, room, lambda octets: _take(octets, hold))


def _take(octets: int, hold: Callable[[int], bool]) -> None:
    if not hold(octets):
        raise Busy
