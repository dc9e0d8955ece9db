"""COPY between two accounts: bytes are never shared between them (STORE.md rule 11), so they are written again.

- All messages come in one commit, or none; what was uploaded for it is garbage until then.
- Whole messages are read and their checksums verified on the way, so that damage is not copied.
- What the index knows of a message is taken over: nothing is scanned again. Its EMAILID is a new one.
- In memory are at most `commit_bytes` of messages, and one message more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from .account import Account
from .draft import Copied, Limits, Prepared
from .mailbox import Mailbox
from .rights import Guard


async def bring(
    source: Account,
    mailbox: Mailbox,
    uids: Sequence[int],
    target: Account,
    name: str,
    *,
    flags: Callable[[Iterable[str]], tuple[str, ...]],
    now: float,
    limits: Limits | None = None,
    guard: Guard | None = None,
) -> Copied:
    """Append messages of `source` to the mailbox `name` of `target`. `flags` says which of a message's it keeps.

    Messages that are gone are passed over. Raises TryCreate, OverQuota, Expunged, Damaged, Unavailable.
    """
    prepared: list[Prepared] = []
    found: list[int] = []
    waiting, size = 0, 0  # messages at the end whose bytes are in memory
    async for page, rows in mailbox.pages([uid for uid in uids if mailbox.index(uid) >= 0], whole=True):
        bodies = source.bodies(page.locations(rows))
        at = 0
        async for data in bodies:
            uid, record = page.uids[rows[at]], page.record(rows[at], saved=int(now))
            at += 1
            place = mailbox.index(uid)
            kept = flags(mailbox.flag_sets[mailbox.flags[place]]) if place >= 0 else ()
            fresh = msgspec.structs.replace(record, loc=("", 0, len(data)), eid="")
            prepared.append(Prepared(fresh, data, tuple(sorted(kept))))
            found.append(uid)
            waiting, size = waiting + 1, size + len(data)
            if size >= target.settings.commit_bytes:
                await target.uploads.post_together(prepared[-waiting:])
                waiting, size = 0, 0
    if waiting < len(prepared) and waiting:
        await target.uploads.post_together(prepared[-waiting:])
    if not prepared:
        return Copied(target.mailbox(name).uidvalidity, [], [])
    added = await target.append_prepared(name, prepared, limits=limits, guard=guard)
    return Copied(added.uidvalidity, found, added.uids)
