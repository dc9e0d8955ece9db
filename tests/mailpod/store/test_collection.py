"""STORE.md rules 9, 10 and 12: what is deleted, and what never is."""

from __future__ import annotations

import msgspec
import pytest

from mailpod.store import NewMessage
from mailpod.store.checkpoint import decode_root
from mailpod.store.names import checkpoint_key, log_key

from .collecting import aged, filled, keys, texts
from .faults import Faulty, mail


async def test_rule_12_what_is_old_and_nothing_names_goes_and_everything_is_still_there() -> None:
    world, store, account = await filled(12)
    await aged(world, store, account, 2)
    await store.pack(account, force=True)
    await aged(world, store, account)
    done = await store.collect(world.ref)
    assert not done.refused
    assert done.checkpoints == 1  # the second newest is kept, and so what it names
    assert {log_key("", sequence)[4:] for sequence in range(2, 14)} <= set(await keys(world, "log"))
    await aged(world, store, account)
    done = await store.collect(world.ref)
    assert done.commits >= 12 and done.pages > 0
    left = await keys(world, "log")
    assert len(left) < 12 and await keys(world, "checkpoint")
    assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]


async def test_rule_12_nothing_younger_than_grace_and_nothing_it_names_goes() -> None:
    world, store, account = await filled(12)
    for _ in range(5):
        await account.append("INBOX", [NewMessage(mail(99))])
        assert await store.checkpoint(account)
        await store.pack(account, force=True)
    before = [await keys(world, kind) for kind in ("log", "page", "pack", "checkpoint")]
    await store.collect(world.ref)
    assert [await keys(world, kind) for kind in ("log", "page", "pack", "checkpoint")] == before


async def test_rule_12_the_newest_two_whole_checkpoints_and_the_commits_after_the_older_stay() -> None:
    world, store, account = await filled(12)
    await aged(world, store, account, 4)
    await account.append("INBOX", [NewMessage(mail(12))])
    done = await store.collect(world.ref)
    assert done.checkpoints == 2
    newest, second = await keys(world, "checkpoint")
    sequences = [10**20 - 1 - int(key) for key in (newest, second)]
    await world.objects.delete([f"{world.ref.prefix}checkpoint/{newest}"])
    fresh = await world.pod().open(world.ref)
    assert fresh.log.base == sequences[1] and fresh.log.state.digest() == account.log.state.digest()


async def test_rule_9_a_checkpoint_that_is_not_whole_counts_for_nothing() -> None:
    world, store, account = await filled(30)
    await aged(world, store, account, 2)
    good = await keys(world, "checkpoint")
    await account.append("INBOX", [NewMessage(mail(30))])
    pages = set(await keys(world, "page"))
    await aged(world, store, account)
    for page in set(await keys(world, "page")) - pages:
        await world.objects.delete([f"{world.ref.prefix}page/{page}"])
    done = await world.pod().collect(world.ref)
    assert done.broken == [account.log.base]
    assert set(good) <= set(await keys(world, "checkpoint"))
    assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(31)]


async def test_rule_9_a_missing_page_of_messages_is_found_in_the_checkpoint_before() -> None:
    world, store, account = await filled(30)
    assert await store.checkpoint(account)
    pages = set(await keys(world, "page"))
    await account.append("INBOX", [NewMessage(mail(number)) for number in range(30, 40)])
    assert await store.checkpoint(account)
    root = decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head)))
    lost = [ref.id for ref in root.boxes[0].pages if ref.id not in pages]
    await world.objects.delete([f"{world.ref.prefix}page/{page}" for page in lost])
    store = world.pod()
    fresh = await store.open(world.ref)
    assert await texts(fresh) == [mail(number) for number in range(40)]
    await fresh.append("INBOX", [NewMessage(mail(40))])
    assert await store.checkpoint(fresh)  # of pages that are there
    assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(41)]


async def test_rule_10_what_nothing_ever_named_goes_after_seven_days() -> None:
    world, store, account = await filled(4)
    for kind in ("page", "pack"):
        await world.objects.create(f"{world.ref.prefix}{kind}/{'0' * 24}", [b"a race was lost"])
    await aged(world, store, account, 3)
    await store.collect(world.ref)
    assert len(await keys(world, "pack")) == 1
    world.clock.time += 7 * 86_400
    done = await store.collect(world.ref)
    assert (done.pages, done.packs) == (1, 1)


async def test_rule_12_what_commits_name_that_no_checkpoint_has_yet_is_kept() -> None:
    world, store, account = await filled(6)
    await aged(world, store, account, 3)
    await account.append("INBOX", [NewMessage(mail(6, 5000))])
    await account.copy(account.mailbox("INBOX"), range(1, 6), "Archive")
    world.clock.time += 30 * 86_400
    await store.collect(world.ref)
    fresh = await world.pod().open(world.ref)
    assert await texts(fresh) == [*(mail(number) for number in range(6)), mail(6, 5000)]
    assert await texts(fresh, "Archive") == [mail(number) for number in range(5)]


async def test_a_collection_that_is_killed_is_finished_by_the_next() -> None:
    for kill in range(4):
        world, store, account = await filled(12)
        await aged(world, store, account, 2)
        await store.pack(account, force=True)
        await aged(world, store, account, 4)
        killed = _Killed(world.objects, kill)
        with pytest.raises(ConnectionError):
            await world.pod(killed).collect(world.ref)
        assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]
        await store.collect(world.ref)
        assert len(await keys(world, "checkpoint")) == 2
        assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]


class _Killed:
    """A bucket whose collector dies after it deleted so many keys."""

    def __init__(self, inner: object, after: int) -> None:
        self._inner = inner
        self._left = after

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def delete(self, keys: list[str]) -> None:
        await self._inner.delete(keys[: self._left])  # type: ignore[attr-defined]
        if self._left < len(keys):
            raise ConnectionError
        self._left -= len(keys)


async def test_a_pack_that_is_mostly_dead_is_packed_again_and_then_deleted() -> None:
    world, store, account = await filled(12)
    await store.pack(account, force=True)
    [old] = await keys(world, "pack")
    await account.expunge(account.mailbox("INBOX"), range(1, 9))
    await aged(world, store, account, 3)
    assert (await store.collect(world.ref)).dead == [f"pack/{old}"]
    assert await store.pack(account) == 2  # the other two are in commits, too few to be packed
    for _ in range(2):
        await aged(world, store, account, 2)
        await store.collect(world.ref)
    assert old not in await keys(world, "pack") and len(await keys(world, "pack")) == 1
    assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(8, 12)]


async def test_a_checkpoint_of_a_later_format_stops_collection() -> None:
    world, store, account = await filled(4)
    await aged(world, store, account, 3)
    real = decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head)))
    from mailpod.store.checkpoint import encode_root

    later = encode_root(msgspec.structs.replace(real, v=4, seq=real.seq + 1))
    await world.objects.create(checkpoint_key(world.ref.prefix, account.head + 1), [later])
    done = await world.pod().collect(world.ref)
    assert "version 4" in done.refused and not done.checkpoints


async def test_collection_costs_requests_by_change_and_not_by_mailbox() -> None:
    world, store, account = await filled(1, page_messages=5, page_cache_bytes=1 << 20)
    await account.append("INBOX", [NewMessage(mail(number)) for number in range(3000)])
    for _ in range(3):
        await aged(world, store, account, 2)
        await store.collect(world.ref)
    await aged(world, store, account, 4)
    faulty = Faulty(world.objects)
    await world.pod(faulty).collect(world.ref)
    assert len(await keys(world, "page")) > 600
    assert len(faulty.requests) <= 40
