"""Accounts begin here: commit 1 of an incarnation. Only the operator, and local mode, call this (STORE.md rule 14)."""

from __future__ import annotations

import random
from typing import Final

from ..clock import Clock
from . import incarnations
from .incarnations import AccountRef
from .names import log_key
from .objects import AlreadyExists, ObjectStore
from .ops import VERSION, Create, Header, Open, encode_header

# DECISIONS.md, "Mailboxes (folders)"; special uses of RFC 6154.
FIRST_MAILBOXES: Final = (
    ("INBOX", None),
    ("Sent", "\\Sent"),
    ("Drafts", "\\Drafts"),
    ("Trash", "\\Trash"),
    ("Junk", "\\Junk"),
    ("Archive", "\\Archive"),
)


async def create_log(objects: ObjectStore, ref: AccountRef, *, floor: int, clock: Clock, rng: random.Random) -> None:
    """Create log/1 with the first mailboxes; one that is there already stays. Raises Ambiguous or StorageError.

    Two creators may race: whichever commit 1 is created is the account's, so nothing needs to be read back.
    """
    now = int(clock.now())
    first = max(now, floor + 1)
    header = Header(
        v=VERSION,
        id=f"{rng.getrandbits(96):024x}",
        prev="",
        seq=1,
        at=now,
        by="operator",
        ops=(
            Open(ref.domain, ref.local, ref.incarnation, floor),
            *(Create(box, name, first + box - 1, use) for box, (name, use) in enumerate(FIRST_MAILBOXES, 1)),
        ),
    )
    try:
        await objects.create(log_key(ref.prefix, 1), [encode_header(header)])
    except AlreadyExists:
        return


async def new_account(
    objects: ObjectStore, domain: str, local: str, *, clock: Clock | None = None, rng: random.Random | None = None
) -> AccountRef:
    """The account of an address, made where there is none: its incarnation and its commit 1."""
    from ..clock import SystemClock

    chance = rng or random.SystemRandom()
    found = await incarnations.in_use(objects, domain, local, rng=chance)
    ref = AccountRef(domain, local, found.id)
    await create_log(objects, ref, floor=found.floor, clock=clock or SystemClock(), rng=chance)
    return ref
