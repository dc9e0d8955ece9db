"""Accounts begin here: commit 1 of an incarnation. Only the operator, and local mode, call this (STORE.md rule 14)."""

from __future__ import annotations

import random
from typing import Final

from ..clock import Clock
from . import incarnations
from .incarnations import AccountRef, Incarnation
from .names import incarnation_key, log_key
from .objects import AlreadyExists, Ambiguous, ObjectStore
from .ops import VERSION, Create, Header, Open, Subscribe, encode_header

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
            # Thunderbird and others show only what is subscribed, and find Sent, Drafts and Junk nowhere else
            *(Subscribe(name) for name, _ in FIRST_MAILBOXES),
        ),
    )
    try:
        await objects.create(log_key(ref.prefix, 1), [encode_header(header)])
    except AlreadyExists:
        return


async def open_account(
    objects: ObjectStore,
    domain: str,
    local: str,
    *,
    newest: int,
    none_listed: bool,
    clock: Clock,
    rng: random.Random,
) -> tuple[Incarnation, bool]:
    """The incarnation in use, with its log begun, and whether this began it.

    `newest` is the highest incarnation that was listed, 0 where that is not known; `none_listed`: a LIST had none, so
    that an account that nobody else makes meanwhile costs two requests. Raises StorageError, Ambiguous.
    """
    made = await _first(objects, domain, local, rng) if none_listed else None
    is_new = made is not None
    if made is None and newest:
        made = await incarnations.read(objects, incarnation_key(domain, local, newest))
    if made is None or made.absent:
        made = await incarnations.in_use(objects, domain, local, rng=rng)
    ref = AccountRef(domain, local, made.id)
    # commit 1 of an account that is not new may have been collected since
    if not is_new and await objects.list(f"{ref.prefix}checkpoint/", limit=1):
        return made, False
    await create_log(objects, ref, floor=made.floor, clock=clock, rng=rng)
    return made, True


async def _first(objects: ObjectStore, domain: str, local: str, rng: random.Random) -> Incarnation | None:
    """Number 1, made here; None where another was there, or may have been made."""
    made = Incarnation(1, rng.randbytes(16).hex())
    try:
        await incarnations.create(objects, domain, local, made)
    except (AlreadyExists, Ambiguous):  # whichever is there stays, and a look tells which
        return None
    return made


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
