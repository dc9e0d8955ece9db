"""How many messages one COPY or APPEND may store: SAVELIMIT (RFC 9738). Off unless a setting says how many.

Invariant: over the limit nothing is stored (RFC 9738 §3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.errors import MailError

if TYPE_CHECKING:
    from mailpod.imap.session import Session


class MessageLimit(MailError):
    """RFC 9738 §3.1: the limit, and where the highest UIDs that would fit begin."""

    def __init__(self, most: int, lowest: int | None = None) -> None:
        super().__init__(f"Too many messages, at most {most} are stored at once")
        self.imap = ("NO", f"MESSAGELIMIT {most}" if lowest is None else f"MESSAGELIMIT {most} {lowest}")


def check_copied(session: Session, uids: Sequence[int]) -> None:
    """`uids` ascend. Raises MessageLimit."""
    most = session.services.settings.imap.save_limit
    if most is not None and len(uids) > most:
        raise MessageLimit(most, uids[-most])


def check_appended(session: Session, count: int) -> None:
    """Raises MessageLimit."""
    most = session.services.settings.imap.save_limit
    if most is not None and count > most:
        raise MessageLimit(most)
