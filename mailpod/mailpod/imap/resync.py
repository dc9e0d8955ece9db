"""What a client that was away is told when it comes back: RFC 7162 §3.2.5 and §3.2.6. No I/O.

Invariants: VANISHED (EARLIER) never names a message that is there, or one whose EXPUNGE is still owed. Expunged UIDs
are exact as far as the mailbox remembers its changes; beyond that they are all UIDs that the client knew and that no
message has, which RFC 7162 §3.2.5 allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mailpod.imap.sequence import resolve
from mailpod.imap.sets import gaps, merge, ranges_wire, runs, within

if TYPE_CHECKING:
    from mailpod.imap.syntax import Resync, SequenceSet
    from mailpod.imap.view import View


def responses(view: View, known: Resync) -> list[bytes]:
    """What follows SELECT's other responses, if UIDVALIDITY is as the client knew it."""
    if known.uidvalidity != view.mailbox.uidvalidity:
        return []  # RFC 7162 §3.2.5: then the parameter is ignored
    among = [range(1, view.mailbox.uidnext)] if known.known is None else uid_ranges(known.known, view)
    # RFC 7162 §3.2.5.2: nothing went that is not above the last message that has its old number still
    unsure = within(among, [range(_undisturbed(view, known) + 1, view.mailbox.uidnext)])
    positions = [range(view.exists)] if known.known is None else resolve(known.known, view, uid=True)
    changed = view.changed_since(known.modseq, positions)
    uid = not view.enabled.uidonly
    return [vanished(view, known.modseq, unsure), *(view.flags_wire(part, uid, modseq=True) for part in changed)]


def vanished(view: View, modseq: int, among: Sequence[range]) -> bytes:
    """`* VANISHED (EARLIER) set`: UIDs of `among` that were expunged after `modseq`, none twice; b"" for none."""
    mailbox = view.mailbox
    # A private array of UIDs does not have the newest: what came after it was never told.
    end = mailbox.uidnext if view.uids is mailbox.uids else view.last_uid + 1
    asked = within(among, [range(1, end)])
    changes = mailbox.changes_since(modseq)
    if changes is None:
        gone = [gap for part in asked for gap in gaps(view.uids, part)]
    else:
        gone = within(runs([uid for uid in changes.vanished if not view.seq_of(uid)]), asked)
    return b"* VANISHED (EARLIER) %b\r\n" % ranges_wire(gone) if gone else b""


def uid_ranges(wanted: SequenceSet, view: View) -> list[range]:
    """The UIDs that a set names; `*` is the last one that was given, so that 1:* has all that went."""
    if wanted.saved:
        return runs(view.saved)
    last = view.mailbox.uidnext - 1
    pairs = (sorted((last if one is None else one, last if two is None else two)) for one, two in wanted.ranges)
    return merge([range(low, high + 1) for low, high in pairs])


def _undisturbed(view: View, known: Resync) -> int:
    """The last UID of the client's sample that has its number still, all before it having theirs."""
    if known.numbers is None or known.number_uids is None:
        return 0
    last = 0
    for number, uid in zip(_each(known.numbers), _each(known.number_uids), strict=False):
        if number > view.exists or view.uid_of(number) != uid:
            break
        last = uid
    return last


def _each(wanted: SequenceSet) -> Iterator[int]:
    for first, last in wanted.ranges:
        if first is not None and last is not None:
            yield from range(min(first, last), max(first, last) + 1)
