"""Each planted damage is found by name, said in words that an administrator understands, and isolated."""

from __future__ import annotations

import random
from array import array
from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs
from tests.mailpod.store.faults import mail

from mailpod.checksum import checksum
from mailpod.store import NewMessage
from mailpod.store.check import CheckOptions, check_bucket
from mailpod.store.check.repair import repair
from mailpod.store.checkpoint import decode_root, encode_root
from mailpod.store.fieldlines import FieldLines
from mailpod.store.names import log_key
from mailpod.store.page import decode_meta, encode_meta

from .planted import WHOLE, Planted, check, damage, plant, queue, readable


@pytest.mark.parametrize("checkpoints", [0, 1, 2])
async def test_a_whole_bucket_is_clean(checkpoints: int) -> None:
    planted = await plant()
    for number in range(checkpoints):
        account = await planted.checkpoint()
        await account.append("INBOX", [NewMessage(mail(20 + number))])
    await queue(planted)
    done = await check_bucket(planted.objects, CheckOptions(public_keys=[planted.key]), root=planted.objects)
    assert [item for item in done.findings if item.severity != "garbage"] == []
    assert (done.accounts, done.messages, done.queued) == (2, 18 + checkpoints, 1)
    assert WHOLE.items() <= (await readable(planted)).items()


Plant = Callable[[Planted], Awaitable[str]]


async def _commit_header(planted: Planted) -> str:
    key = log_key(planted.alice.prefix, 5)
    await planted.flip(key, 2)
    return key


async def _commit_identity(planted: Planted) -> str:
    key = log_key(planted.alice.prefix, 5)
    await planted.change(key, lambda data: data.replace(b'"prev":"', b'"prev":"f', 1))
    return key


async def _commit_truncated(planted: Planted) -> str:
    key = log_key(planted.alice.prefix, 5)
    await planted.change(key, lambda data: data[:-3])
    return key


async def _commit_missing(planted: Planted) -> str:
    key = log_key(planted.alice.prefix, 5)
    await planted.objects.delete([key])
    return key


async def _commit_foreign(planted: Planted) -> str:
    key = log_key(planted.alice.prefix, 5)
    other = await planted.objects.get(log_key(planted.alice.prefix, 4))
    await planted.objects.put(key, [other])
    return key


async def _commit_of_another_account(planted: Planted) -> str:
    key = log_key(planted.alice.prefix, 5)
    other = await planted.objects.get(log_key(planted.bob.prefix, 2))
    await planted.objects.put(key, [other.replace(b'"seq":2', b'"seq":5')])
    return key


LOG = [
    (_commit_header, "commit-damaged"),
    (_commit_identity, "commit-does-not-follow"),
    (_commit_truncated, "commit-damaged"),
    (_commit_missing, "commit-missing"),
    (_commit_foreign, "commit-does-not-follow"),
    (_commit_of_another_account, "commit-does-not-follow"),
]


@pytest.mark.parametrize(("hurt", "kind"), LOG)
async def test_a_damaged_log_without_a_checkpoint_stops_the_account_there(hurt: Plant, kind: str) -> None:
    planted = await plant()
    key = await hurt(planted)
    (found,) = await damage(planted)
    assert (found.kind, found.object, found.account, found.repair) == (kind, key, "alice@x.test", "restore")
    assert "Commit 5 cannot be used" in found.effect and "readable as of commit 4" in found.effect


@pytest.mark.parametrize(("hurt", "kind"), LOG)
async def test_a_damaged_log_below_a_checkpoint_costs_at_most_the_bytes_in_it(hurt: Plant, kind: str) -> None:
    planted = await plant()
    await planted.checkpoint()
    key = await hurt(planted)
    found = await damage(planted)
    assert {item.object for item in found} == {key} and all(item.account == "alice@x.test" for item in found)
    # with a checkpoint above it, a commit that is gone may have been collected: only its bytes are missed
    assert {kind, "bytes-missing"} & {item.kind for item in found}
    assert {uid: data for uid, data in WHOLE.items() if uid != 4}.items() <= (await readable(planted)).items()


async def _message(planted: Planted) -> str:
    key = log_key(planted.alice.prefix, 5)
    await planted.flip(key, -5)
    return key


async def _pack(planted: Planted) -> str:
    (key,) = await planted.keys("pack/")
    await planted.flip(key, 2000)
    return key


async def _pack_cut(planted: Planted) -> str:
    (key,) = await planted.keys("pack/")
    await planted.change(key, lambda data: data[:3000])
    return key


async def _pack_missing(planted: Planted) -> str:
    (key,) = await planted.keys("pack/")
    await planted.objects.delete([key])
    return key


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(
    ("hurt", "kind", "uid"),
    [
        (_message, "bytes-damaged", 4),
        (_pack, "bytes-damaged", 12),
        (_pack_cut, "bytes-cut", 12),
        (_pack_missing, "bytes-missing", 12),
    ],
)
async def test_damaged_bytes_cost_the_messages_in_them_and_no_other(
    hurt: Plant, kind: str, uid: int, checkpoint: bool
) -> None:
    planted = await plant()
    if checkpoint:
        await planted.checkpoint()
    key = await hurt(planted)
    (found,) = await damage(planted)
    assert (found.kind, found.object, found.account, found.repair) == (kind, key, "alice@x.test", "restore")
    assert f"UID {uid} of 'INBOX'" in found.effect
    assert await readable(planted) == {one: data for one, data in WHOLE.items() if one != uid}
    quick = await damage(planted, bodies=False)
    assert bool(quick) is (kind != "bytes-damaged")


async def test_the_message_of_a_copy_is_named_with_its_original() -> None:
    planted = await plant()
    await _message(planted)
    (found,) = await damage(planted)
    assert "2 messages (UID 4 of 'INBOX', UID 4 of 'Archive')" in found.effect


async def _checkpoint_flip(planted: Planted) -> str:
    key = (await planted.keys("checkpoint/"))[0]
    await planted.flip(key, 40)
    return key


async def _checkpoint_cut(planted: Planted) -> str:
    key = (await planted.keys("checkpoint/"))[0]
    await planted.change(key, lambda data: data[:10])
    return key


async def _checkpoint_misplaced(planted: Planted) -> str:
    (key,) = await planted.keys("checkpoint/")
    last = await planted.objects.get(key)
    account = await planted.store().open(planted.alice)
    await account.append("Sent", [NewMessage(mail(3))])
    await account.append("Sent", [NewMessage(mail(3))])
    made = await planted.checkpoint()
    newest = (await planted.keys("checkpoint/"))[0]
    assert newest != key and made.head > 10
    await planted.objects.put(newest, [last])
    return newest


async def _page_flip(planted: Planted) -> str:
    root = decode_root(await planted.objects.get((await planted.keys("checkpoint/"))[0]))
    ref = next(box.pages[0] for box in root.boxes if box.name == "INBOX")
    key = f"{planted.alice.prefix}page/{ref.id}"
    await planted.flip(key, 30)
    return key


async def _page_lines(planted: Planted) -> str:
    """A page that is as it was written, and says that another header field ends where its own do not."""
    (newest,) = await planted.keys("checkpoint/")
    root = decode_root(await planted.objects.get(newest))
    refs = next(box.pages for box in root.boxes if box.name == "INBOX")
    key = f"{planted.alice.prefix}page/{refs[0].id}"
    page = decode_meta(await planted.objects.get(key), refs[0].sum)
    ends = array("H", map(len, page.fields)).tobytes()
    page.lines = FieldLines([b"subject"], bytes(len(ends)), [ends], bytes(len(ends)))
    data = encode_meta(page)
    refs[0] = structs.replace(refs[0], sum=checksum(data))
    await planted.objects.put(key, [data])
    await planted.objects.put(newest, [encode_root(root)])
    return key


async def _page_missing(planted: Planted) -> str:
    root = decode_root(await planted.objects.get((await planted.keys("checkpoint/"))[0]))
    ref = next(box.pages[0] for box in root.boxes if box.name == "INBOX")
    key = f"{planted.alice.prefix}page/{ref.id}"
    await planted.objects.delete([key])
    return key


async def _state_page_missing(planted: Planted) -> str:
    root = decode_root(await planted.objects.get((await planted.keys("checkpoint/"))[0]))
    ref = next(box.state[0] for box in root.boxes if box.state)
    key = f"{planted.alice.prefix}page/{ref.id}"
    await planted.objects.delete([key])
    return key


async def _delivery_page_cut(planted: Planted) -> str:
    root = decode_root(await planted.objects.get((await planted.keys("checkpoint/"))[0]))
    key = f"{planted.alice.prefix}page/{root.deliveries[0][1].id}"
    await planted.change(key, lambda data: data[:-1])
    return key


INDEX = [
    (_checkpoint_flip, "checkpoint-damaged"),
    (_checkpoint_cut, "checkpoint-damaged"),
    (_checkpoint_misplaced, "checkpoint-damaged"),
    (_page_flip, "page-damaged"),
    (_page_lines, "page-damaged"),
    (_page_missing, "page-missing"),
    (_state_page_missing, "page-missing"),
    (_delivery_page_cut, "page-damaged"),
]


@pytest.mark.parametrize("later", [0, 3])
@pytest.mark.parametrize(("hurt", "kind"), INDEX)
async def test_a_broken_index_is_made_again_from_the_log(hurt: Plant, kind: str, later: int) -> None:
    planted = await plant()
    account = await planted.checkpoint()
    key = await hurt(planted)
    for number in range(later):
        await (await planted.store().open(planted.alice)).append("Sent", [NewMessage(mail(30 + number))])
    found = await damage(planted)
    assert [(item.kind, item.object, item.repair) for item in found] == [(kind, key, "checkpoint")]
    before = {name: await planted.objects.get(name) for name in await planted.keys()}
    mended = await repair(planted.objects, found, clock=planted.clock, rng=random.Random(99))
    assert all("new checkpoint was made" in item.repaired for item in mended)
    after = {name: await planted.objects.get(name) for name in await planted.keys()}
    assert before.items() <= after.items(), "repair only adds objects"
    assert await damage(planted) == []
    assert await readable(planted) == WHOLE
    assert account.head <= (await planted.store().open(planted.alice)).head


async def test_a_page_that_the_log_no_longer_has_costs_its_messages_only() -> None:
    planted = await plant()
    await planted.checkpoint()
    key = await _page_flip(planted)
    await planted.objects.delete([log_key(planted.alice.prefix, 1)])  # as collection does in time
    found = [item for item in await damage(planted) if item.kind == "page-damaged"]
    assert [(item.object, item.repair) for item in found] == [(key, "restore")]
    assert "4 messages of the folder 'INBOX', UIDs 1 to 4" in found[0].effect
    assert await readable(planted) == {uid: data for uid, data in WHOLE.items() if uid > 4}


async def test_an_account_without_anything_to_open_it_by() -> None:
    planted = await plant()
    await planted.checkpoint()
    await _checkpoint_flip(planted)
    await planted.objects.delete([log_key(planted.alice.prefix, 1)])
    kinds = {item.kind for item in await damage(planted)}
    assert "account-unreadable" in kinds


async def test_a_checkpoint_that_says_something_else_than_the_log() -> None:
    planted = await plant()
    await planted.checkpoint()
    (key,) = await planted.keys("checkpoint/")
    root = decode_root(await planted.objects.get(key))
    root.boxes[0].recent, root.boxes[0].uidnext = 1, 99
    await planted.objects.put(key, [encode_root(root)])
    (found,) = await damage(planted)
    assert (found.kind, found.object, found.repair) == ("checkpoint-differs", key, "checkpoint")
    await repair(planted.objects, [found], clock=planted.clock, rng=random.Random(99))
    assert (await planted.store().open(planted.alice)).mailbox("INBOX").uidnext == 13


@pytest.mark.parametrize("of_account", [True, False])
async def test_a_checkpoint_without_the_annotations_of_the_log(of_account: bool) -> None:
    planted = await plant()
    account = await planted.store().open(planted.alice)
    await account.annotate("" if of_account else "INBOX", [("/private/comment", "x")])
    await planted.checkpoint()
    (key,) = await planted.keys("checkpoint/")
    root = decode_root(await planted.objects.get(key))
    (root if of_account else root.boxes[0]).annotations = []
    await planted.objects.put(key, [encode_root(root)])
    (found,) = await damage(planted)
    assert (found.kind, found.object, found.repair) == ("checkpoint-differs", key, "checkpoint")


async def test_a_gap_is_found_also_where_a_pod_has_gone_on_behind_it() -> None:
    planted = await plant()
    numbers = [6, 7, 8]
    await planted.objects.delete([log_key(planted.alice.prefix, number) for number in numbers])
    found = await damage(planted)
    assert [item.kind for item in found] == ["commit-missing", "gap"]
    assert "6-8" in found[1].effect


async def test_an_older_checkpoint_that_is_broken_harms_nobody() -> None:
    planted = await plant()
    account = await planted.checkpoint()
    await account.append("Sent", [NewMessage(mail(1))])
    await planted.checkpoint()
    oldest = (await planted.keys("checkpoint/"))[-1]
    await planted.flip(oldest, 50)
    found = await check(planted)
    assert [(item.kind, item.severity, item.object) for item in found if item.severity != "garbage"] == [
        ("checkpoint-damaged", "note", oldest)
    ]
