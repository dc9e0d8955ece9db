"""Which messages of a folder have been there for so long that they go. It reads the index and changes nothing.

- What counts is SAVEDATE (RFC 8514): when a message came into the folder, not its date.
- SAVEDATE is some pod's clock. One that was behind makes no message older than the folder, nor than those that came
  before it; a date that is yet to come says nothing.
"""

from __future__ import annotations

from mailpod.store import Mailbox

USES = {"Trash": "\\Trash", "Junk": "\\Junk", "Sent": "\\Sent", "Drafts": "\\Drafts", "Archive": "\\Archive"}


def folder_of(folders: dict[str, Mailbox], name: str) -> Mailbox | None:
    """The folder that a Mailbox's retention means by `name`: that of the use (RFC 6154), else that of the name."""
    use = USES.get(name)
    of_use = [box for box in folders.values() if use is not None and box.special_use == use]
    return of_use[0] if of_use else folders.get(name)


async def due(box: Mailbox, *, now: float, seconds: float, most: int) -> list[int]:
    """UIDs, ascending, of the first messages that came longer than `seconds` before `now`; `most` are looked at.

    What the index has no whole page of stays. Raises MailError.
    """
    came = _made(box, now)
    found: list[int] = []
    damaged: list[int] = []
    async for page, rows in box.pages(box.uids[:most], damaged=damaged, scanned=False):
        for row in rows:
            if page.saved[row] > now:
                continue
            came = max(came, page.saved[row])
            if came > now - seconds:
                return found
            found.append(page.uids[row])
    return found


def _made(box: Mailbox, now: float) -> int:
    """UIDVALIDITY is when the folder was made, or restored (STORE.md, "What follows for the protocols")."""
    return box.uidvalidity if box.uidvalidity <= now else 0
