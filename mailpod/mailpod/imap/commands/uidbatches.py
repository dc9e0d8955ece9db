"""UIDBATCHES (RFC 10022): the ranges of UIDs that cut the selected mailbox into batches of one size, the newest first.

Invariant: the ranges leave no UID out between the highest there is and 1, whichever batches are asked for. It costs a
look at two UIDs a batch, so nobody counts how often it is asked for (RFC 10022 §6), nor for how many batches (§3.1.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.imap import wire

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import UidBatchesArgs
    from mailpod.imap.view import View


class TooFew(MailError):
    """So that batches cannot stand for message numbers (RFC 10022 §3.1.3.2)."""

    imap = ("NO", "TOOFEW")


class Reversed(MailError):
    """RFC 10022 §3.1.5."""

    imap = ("BAD", "CLIENTBUG")
    text = "The first batch comes before the last one"


async def run(session: Session, args: UidBatchesArgs) -> None:
    """Raises TooFew, Reversed."""
    least = session.services.settings.imap.uid_batch_messages
    if args.size < least:
        raise TooFew(f"Minimum batch size is {least}")
    if args.batches is not None and args.batches[0] > args.batches[1]:
        raise Reversed
    ranges = b",".join(b"%d:%d" % pair for pair in batches(session.view, args.size, args.batches))
    session.send(b"* UIDBATCHES (TAG %b)%b\r\n" % (wire.string(session.tag), b" " + ranges if ranges else b""))


def batches(view: View, size: int, wanted: tuple[int, int] | None) -> list[tuple[int, int]]:
    """The highest and the lowest UID of each batch of those `wanted`, the first of which is 1."""
    ends = range(view.exists, 0, -size)  # positions behind the last message of each
    first, last = wanted or (1, len(ends))
    return [(view.uids[end - 1], view.uids[end - size - 1] + 1 if end > size else 1) for end in ends[first - 1 : last]]
