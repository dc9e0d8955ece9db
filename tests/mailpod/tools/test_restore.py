"""Restore by STORE.md rule 16: a new incarnation, whole or not there at all, and the old one left as it was."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from tests.fixtures_seaweed import Seaweed
from tests.mailpod.store.faults import mail

from mailpod.directory import Directory
from mailpod.errors import AccountClosed, MailError
from mailpod.store import AccountRef, NewMessage, Who, incarnations
from mailpod.store.check import CheckOptions, check_bucket
from mailpod.store.names import log_key
from mailpod.store.objects import Buffer, ObjectStore, StorageError
from mailpod.store.opening import open_bucket
from mailpod.store.purge import pending, purge
from mailpod.store.restoring import CannotRestore, Restored, discard, restore

from .planted import Planted, plant


@pytest.fixture(params=["memory", "folder", "s3"])
async def planted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Planted]:
    if request.param == "s3":
        server: Seaweed = request.getfixturevalue("seaweed")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        objects = await open_bucket(server.url(f"restore-{tmp_path.name}"))
    else:
        objects = await open_bucket("memory:" if request.param == "memory" else str(tmp_path / "bucket"))
    yield await plant(objects)
    await objects.close()


async def _restore(planted: Planted, objects: ObjectStore | None = None, **more: Any) -> Restored:
    planted.numbers += 1
    chance = random.Random(1000 + planted.numbers)
    return await restore(objects or planted.objects, "x.test", "alice", clock=planted.clock, rng=chance, **more)


async def _everything(planted: Planted, ref: AccountRef) -> dict[str, list[tuple[Any, ...]]]:
    """Folder by folder: flags, dates, EMAILIDs and bytes; and what makes a folder."""
    account = await planted.store().open(ref)
    out: dict[str, list[tuple[Any, ...]]] = {
        "": [tuple(sorted(account.subscriptions)), tuple(account.annotations.items())]
    }
    for name, box in account.mailboxes.items():
        rights = tuple(sorted(box.acl.items()))
        rows: list[tuple[Any, ...]] = [(box.special_use, tuple(sorted(box.annotations.items())), rights)]
        async for page, wanted in box.pages(box.uids):
            for row in wanted:
                flags = tuple(sorted(box.flag_sets[box.flags[box.index(page.uids[row])]]))
                data = await account.body(page.location(row))
                rows.append((flags, page.dates[row], page.saved[row], page.email_ids[row], page.envelopes[row], data))
        out[name] = rows
    return out


async def _validities(planted: Planted, ref: AccountRef) -> dict[str, int]:
    account = await planted.store().open(ref)
    return {name: box.uidvalidity for name, box in account.mailboxes.items()}


async def test_everything_comes_back_under_new_uidvalidities(planted: Planted) -> None:
    account = await planted.store().open(planted.alice)
    await account.create("Work/2026")
    await account.delete("Junk")
    await account.subscribe("Work/2026")
    await account.annotate("", [("/private/note", "mine")])
    await account.annotate("Sent", [("/shared/comment", "\xfc"), ("/private/specialuse", None)])
    await account.create("Gesendet", "\\Sent")
    await account.grant("Work/2026", Who("bob@x.test", "b"), lambda before: "lrs")
    await account.url_keys.of(["Work/2026"])
    await account.append("Work/2026", [NewMessage(mail(77), frozenset({"\\Flagged", "todo"}), 1234567890)])
    await account.expunge(account.mailbox("INBOX"), [2])
    before, old = await _everything(planted, planted.alice), await _validities(planted, planted.alice)
    head = account.head
    objects = {entry.key: entry.size for entry in await planted.objects.list(planted.alice.prefix)}
    done = await _restore(planted)
    assert (done.commit, done.left_out, done.lost, done.messages) == (head, 0, [], 17)
    new = AccountRef("x.test", "alice", done.new.id)
    assert await _everything(planted, new) == before
    validities = await _validities(planted, new)
    assert validities.keys() == old.keys() and min(validities.values()) > max(old.values())
    assert len(set(validities.values())) == len(validities)
    left = {entry.key: entry.size for entry in await planted.objects.list(planted.alice.prefix)}
    assert objects.items() <= left.items() and len(left) == len(objects) + 1, "one commit more, which closes it"
    newest = await incarnations.latest(planted.objects, "x.test", "alice")
    assert newest is not None and newest.id == done.new.id
    assert not any(box.url_key for box in (await planted.store().open(new)).mailboxes.values()), (
        "URLs open nothing more"
    )
    again = await (await planted.store().open(new)).append("INBOX", [NewMessage(mail(1), delivery_id="d1")])
    assert again.duplicate, "what was handed out before is not handed out again"
    found = await check_bucket(planted.objects, CheckOptions(public_keys=[planted.key]))
    assert {item.kind for item in found.findings if item.severity != "garbage"} == {"entry-behind"}
    assert (await planted.publisher.compare(_entries(planted))).written == ("directory/x.test/alice/address",)
    found = await check_bucket(planted.objects, CheckOptions(public_keys=[planted.key]))
    assert [item for item in found.findings if item.severity != "garbage"] == []


def _entries(planted: Planted) -> Sequence[Any]:
    from .planted import entries

    planted.clock.time += 120  # what was published just now is left alone
    return entries()


async def test_up_to_the_last_consistent_commit(planted: Planted) -> None:
    holding = await planted.store().open(planted.alice)
    await planted.flip(log_key(planted.alice.prefix, 8), 1)
    done = await _restore(planted)
    assert (done.commit, done.left_out, done.messages) == (7, 8, 6) and "cannot be read" in done.reason
    account = await planted.store().open(AccountRef("x.test", "alice", done.new.id))
    assert list(account.mailbox("INBOX").uids) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(AccountClosed):
        await holding.append("INBOX", [NewMessage(mail(1))])  # a pod that was behind the damage
    directory = Directory(planted.objects, public_keys=[planted.key], clock=planted.clock)
    entry = await directory.lookup("alice@x.test")
    assert entry is not None
    assert (await directory.account(entry, fresh=True)).incarnation == done.new.id


async def test_with_a_gap_at_its_head_and_nothing_lost_below(planted: Planted) -> None:
    await planted.checkpoint()
    keys = await planted.keys("log/")
    await planted.objects.delete(keys[-2:])
    done = await _restore(planted)
    assert done.commit == len(keys) and done.messages == 17


async def test_damaged_messages_are_named_and_the_rest_comes_back(planted: Planted) -> None:
    await planted.flip(log_key(planted.alice.prefix, 7), -5)
    (pack,) = await planted.keys("pack/")
    await planted.objects.delete([pack])
    done = await _restore(planted)
    assert done.messages == 15
    assert done.lost == ["UID 6 of 'INBOX': its bytes are damaged", "UID 12 of 'INBOX': its bytes are damaged"]


async def test_messages_of_which_the_log_has_the_bytes_only(planted: Planted) -> None:
    """Their envelopes are found out on the way; one whose bytes are damaged is named."""
    account = await planted.store().open(planted.alice)
    await account.append("Trash", [NewMessage(mail(number)) for number in range(20)], later=True)
    head, before = account.head, await _everything(planted, planted.alice)
    await planted.flip(log_key(planted.alice.prefix, head), -5)
    done = await _restore(planted)
    assert done.lost == ["UID 20 of 'Trash': its bytes are damaged"]
    new = AccountRef("x.test", "alice", done.new.id)
    assert (await _everything(planted, new))["Trash"] == before["Trash"][:-1]


class _Dying:
    """The bucket of a process that is killed at its nth write, before or after it."""

    def __init__(self, inner: ObjectStore, number: int, after: bool) -> None:
        self._inner, self._left, self._after = inner, number, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._after):
            raise StorageError("killed")
        await self._inner.create(key, data)
        if self._left == 0:
            raise StorageError("killed")


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_write_it_is_whole_or_not_there_and_is_run_again(after: bool) -> None:
    number, finished = 0, False
    while not finished:
        number += 1
        planted = await plant()
        dying = cast(Any, _Dying(planted.objects, number, after))
        try:
            await _restore(planted, dying)
            finished = True
        except (StorageError, MailError, CannotRestore):
            newest = await incarnations.latest(planted.objects, "x.test", "alice")
            assert newest is not None
            if newest.number > 1:  # named: then it is whole
                assert await _everything(planted, AccountRef("x.test", "alice", newest.id)) != {}
        done = await _restore(planted)
        assert done.messages == 17 and done.lost == []
        found = await check_bucket(planted.objects, CheckOptions(public_keys=[planted.key]))
        assert not found.findings.damaged, found.findings.items
    assert number > 10


async def test_the_old_incarnation_is_erased_when_asked_for(planted: Planted) -> None:
    done = await _restore(planted)
    with pytest.raises(CannotRestore):
        await discard(planted.objects, "x.test", "alice", done.new.number)
    await discard(planted.objects, "x.test", "alice", done.old.number)
    (found,) = pending(await planted.objects.list("directory/x.test/"))
    assert found.closed is not None
    assert not await purge(planted.objects, found, now=found.closed + 10, grace=86400)
    assert await purge(planted.objects, found, now=found.closed + 86401, grace=86400)
    assert await planted.objects.list(planted.alice.prefix) == []
    account = await planted.store().open(AccountRef("x.test", "alice", done.new.id))
    assert account.usage_messages == 17


async def test_a_deleted_address_and_one_that_never_was(planted: Planted) -> None:
    await planted.publisher.close("x.test", "alice", "a")
    done = await _restore(planted)
    assert (done.old.number, done.new.number, done.messages) == (1, 3, 17)
    with pytest.raises(CannotRestore, match="never had"):
        await restore(planted.objects, "x.test", "nobody", clock=planted.clock, rng=random.Random(1))
