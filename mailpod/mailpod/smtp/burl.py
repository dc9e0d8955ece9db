"""BURL (RFC 4468): a piece of a message that is fetched from a mailbox, among those that come by BDAT.

- Without a valid recipient no URL is looked at (§3.2).
- It is a chunk in all else: what the whole may weigh is the same, and one that fails has the message fail.
"""

from __future__ import annotations

from typing import Final

from mailpod.errors import MailError
from mailpod.smtp import replies
from mailpod.smtp.bdat import Chunking
from mailpod.smtp.syntax import parse_url

_WAITING: Final = "250 2.5.0 Waiting for additional BURL or BDAT commands"  # RFC 4468 §6


class ByUrl(Chunking):
    """BURL, on submission."""

    async def smtp_BURL(self, arg: str) -> None:
        url, last = parse_url(arg)
        refused = self.refused_chunk(0) or await self._fetch(url)
        await self.end_chunk(refused, last, _WAITING)

    async def _fetch(self, url: str) -> str | None:
        """Add what is there to the message, or say why not."""
        envelope, identity, urls = self.envelope, self.session.identity, self.services.urls
        assert envelope.chunks is not None and identity is not None and urls is not None
        already = len(envelope.chunks)
        room = self.settings.max_message_bytes - already
        try:
            data = await urls.octets(
                url.encode("ascii"), identity, room, lambda octets: envelope.hold(already + octets)
            )
        except MailError as error:
            return replies.from_error(error)
        envelope.chunks += data
        return None
