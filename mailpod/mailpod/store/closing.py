"""The end of an account: its close commit, and the absent incarnation after it (STORE.md rule 15).

- The order is record, close commit, absent incarnation. Whoever finds a record without the absent incarnation finishes
  the close; nothing after the record depends on who wrote it.
- The record `purge/<n>` names the account that is to be erased and who owned it; it goes when nothing is left of it.
- The floor of the absent incarnation is read from a state that ends with `close`, so no UIDVALIDITY comes after it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from mailpod.clock import Clock
from mailpod.errors import AccountClosed, AccountMissing
from mailpod.store import incarnations
from mailpod.store.account import Account
from mailpod.store.incarnations import AccountRef, Incarnation
from mailpod.store.lifecycle import create_log
from mailpod.store.names import incarnation_key, purge_key
from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, ObjectStore, StorageError
from mailpod.store.settings import StoreSettings
from mailpod.store.state import State
from mailpod.store.store import Store

_NO_CHECKPOINTS = StoreSettings(checkpoint_commits=1 << 40, checkpoint_header_bytes=1 << 60)
_TRIES = 4  # of one create whose answer is ambiguous


class PurgeRecord(msgspec.Struct, frozen=True):
    """The object `purge/<n>`: incarnation `n` is closed, or about to be, and then erased."""

    id: str  # the incarnation's
    owner: str  # uid of the Mailbox resource whose deletion this is


async def read_record(objects: ObjectStore, key: str) -> PurgeRecord:
    """Raises NotFound, and StorageError also where it cannot be read."""
    data = await objects.get(key)
    try:
        return msgspec.json.decode(data, type=PurgeRecord)
    except ValueError as error:
        raise StorageError(f"{key}: {error}") from None


async def close_account(
    objects: ObjectStore,
    domain: str,
    local: str,
    owner: str,
    *,
    incarnation: str = "",
    clock: Clock,
    rng: random.Random,
) -> Incarnation | None:
    """Close the account in use, for good, and record that it is to be erased. Can be repeated, and killed anywhere.

    With `incarnation`, only that one: an operator that stood still must not close the account that came after it.
    Returns the absent incarnation, or the one in use where that is another; None where the address never had an
    account. Raises StorageError, Ambiguous, Unavailable, and AccountReadOnly for an account whose log is damaged.
    """
    newest = await incarnations.latest(objects, domain, local)
    if newest is None or newest.absent or (incarnation and newest.id != incarnation):
        return newest
    record = msgspec.json.encode(PurgeRecord(newest.id, owner)) + b"\n"
    await _once(lambda: objects.create(purge_key(domain, local, newest.number), [record]))
    return await finish_close(objects, domain, local, newest.number, clock=clock, rng=rng)


async def finish_close(
    objects: ObjectStore, domain: str, local: str, number: int, *, clock: Clock, rng: random.Random
) -> Incarnation:
    """From the record of incarnation `number`'s purge to the absent incarnation after it. Raises as close_account."""
    with suppress(NotFound):  # then the account may be half erased, and is not to be opened any more
        return await incarnations.read(objects, incarnation_key(domain, local, number + 1))
    closing = await incarnations.read(objects, incarnation_key(domain, local, number))
    ref = AccountRef(domain, local, closing.id)
    state = await _closed_state(objects, ref, closing.floor, clock, rng)
    absent = Incarnation(number + 1, rng.randbytes(16).hex(), max(closing.floor, state.last_uidvalidity), absent=True)
    await _once(lambda: incarnations.create(objects, domain, local, absent))
    return await incarnations.read(objects, incarnation_key(domain, local, number + 1))


async def _closed_state(objects: ObjectStore, ref: AccountRef, floor: int, clock: Clock, rng: random.Random) -> State:
    """The account's last state, after its close commit, which is made where it is missing."""
    store = Store(objects, settings=_NO_CHECKPOINTS, clock=clock, rng=rng, pod="operator")
    account = Account(store, ref)
    account.pins = 1
    try:
        await account.open()
        await account.close_incarnation()
    except AccountMissing:  # killed between incarnation and commit 1; a late commit 1 must find one there
        await create_log(objects, ref, floor=floor, clock=clock, rng=rng)
        await account.open()
        await account.close_incarnation()
    except AccountClosed:
        pass
    finally:
        await account.idle()
    return account.log.state


async def _once(create: Callable[[], Awaitable[None]]) -> None:
    """Send one creation until it is certain that an object is there: ours, or the one of who came first."""
    for attempt in range(_TRIES):
        try:
            return await create()
        except AlreadyExists:
            return None
        except Ambiguous:
            if attempt == _TRIES - 1:
                raise
    return None
