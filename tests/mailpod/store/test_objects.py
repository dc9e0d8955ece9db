"""What every bucket promises (store/objects.py), shown of each: memory, a folder, and S3 on two real servers."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fixtures_seaweed import Seaweed
from tests.fixtures_versitygw import Versity

from mailpod.store.objects import AlreadyExists, Buffer, NotFound, ObjectStore
from mailpod.store.opening import open_bucket

_prefixes = itertools.count()


@pytest.fixture(params=["memory", "folder", "s3", pytest.param("versitygw", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def objects(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ObjectStore]:
    if kind == "s3":
        server: Seaweed = request.getfixturevalue("seaweed")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        # 320 creators of 20 names at once: SeaweedFS polls its lock, and takes longer than a pod would wait
        url = f"{server.url(f'test-{next(_prefixes)}')}&request_timeout=120"
    elif kind == "versitygw":
        second: Versity = request.getfixturevalue("versity")
        for name, value in second.environment.items():
            monkeypatch.setenv(name, value)
        url = f"{second.url(f'test-{next(_prefixes)}')}&request_timeout=120"
    else:
        url = "memory:" if kind == "memory" else str(tmp_path / "bucket")
    store = await open_bucket(url)
    yield store
    await store.close()


async def _keys(objects: ObjectStore, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
    return [entry.key for entry in await objects.list(prefix, after=after, limit=limit)]


async def test_create_then_get(objects: ObjectStore) -> None:
    await objects.create("a/b", [b"one ", memoryview(b"two "), bytearray(b"three")])
    assert await objects.get("a/b") == b"one two three"
    assert isinstance(await objects.get("a/b"), bytes)


async def test_create_of_what_exists_says_so_and_changes_nothing(objects: ObjectStore) -> None:
    await objects.create("a/b", [b"first"])
    before = await objects.get_with_time("a/b")
    with pytest.raises(AlreadyExists):
        await objects.create("a/b", [b"second, and longer"])
    assert await objects.get_with_time("a/b") == before


async def test_of_sixteen_creators_one_wins(objects: ObjectStore, kind: str) -> None:
    async def race(key: str) -> None:
        answers = await asyncio.gather(
            *(objects.create(key, [b"%d " % number * 500]) for number in range(16)), return_exceptions=True
        )
        winners = [number for number, answer in enumerate(answers) if answer is None]
        assert len(winners) == 1
        assert [type(answer) for answer in answers if answer is not None] == [AlreadyExists] * 15
        assert await objects.get(key) == b"%d " % winners[0] * 500

    # at once, since SeaweedFS takes whole seconds for one race: its lock is polled
    await asyncio.gather(*(race(f"race/{trial}") for trial in range(20 if kind == "s3" else 50)))


async def test_sixteen_creators_after_a_deletion(objects: ObjectStore, kind: str) -> None:
    async def race(key: str) -> None:
        await objects.create(key, [b"old"])
        await objects.delete([key])
        with pytest.raises(NotFound):
            await objects.get(key)
        answers = await asyncio.gather(
            *(objects.create(key, [b"new %d" % number]) for number in range(16)), return_exceptions=True
        )
        assert answers.count(None) == 1
        assert await objects.get(key) == b"new %d" % answers.index(None)

    await asyncio.gather(*(race(f"again/{trial}/x") for trial in range(10 if kind == "s3" else 20)))


async def test_put_replaces(objects: ObjectStore) -> None:
    await objects.put("a/b", [b"a long first one"])
    await objects.put("a/b", [b"short"])
    assert await objects.get("a/b") == b"short"
    assert await objects.get_head("a/b", 100) == (b"short", 5)


async def test_readers_never_see_half_of_a_put(objects: ObjectStore) -> None:
    letters = [bytes([letter]) * (10_000 + letter) for letter in b"abcdef"]
    await objects.put("a/b", [letters[0]])
    seen: set[bytes] = set()

    async def read(writing: asyncio.Task[None]) -> None:
        while not writing.done():
            seen.add(await objects.get("a/b"))

    async def write() -> None:
        for number in range(60):
            await objects.put("a/b", [letters[number % 6]])

    writing = asyncio.create_task(write())
    await asyncio.gather(writing, *(read(writing) for _ in range(4)))
    assert seen <= set(letters)


async def test_what_is_missing_is_not_found(objects: ObjectStore) -> None:
    await objects.create("a/b/c", [b"x"])
    for key in ("a/b/d", "a/x/c", "a/b", "a/b/c/d"):
        with pytest.raises(NotFound):
            await objects.get(key)
        with pytest.raises(NotFound):
            await objects.get_with_time(key)
        with pytest.raises(NotFound):
            await objects.get_head(key, 10)
        with pytest.raises(NotFound):
            await objects.get_range(key, 0, 10)
        with pytest.raises(NotFound):
            await objects.get_range(key, 5, 5)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (0, 3), (3, 7), (9, 10), (9, 11), (0, 1000), (5, 5), (7, 5), (10, 12), (50, 60)]
)
async def test_ranges_are_cut_at_the_end(objects: ObjectStore, start: int, end: int) -> None:
    await objects.create("a/b", [b"0123456789"])
    assert await objects.get_range("a/b", start, end) == b"0123456789"[start:end]


async def test_get_head_gives_the_whole_size(objects: ObjectStore) -> None:
    await objects.create("a/b", [b"0123456789"])
    assert await objects.get_head("a/b", 4) == (b"0123", 10)
    assert await objects.get_head("a/b", 10) == (b"0123456789", 10)
    assert await objects.get_head("a/b", 4000) == (b"0123456789", 10)
    assert await objects.get_head("a/b", 0) == (b"", 10)


async def test_empty_objects(objects: ObjectStore) -> None:
    await objects.create("e/1", [])
    await objects.create("e/2", [b""])
    await objects.put("e/3", [])
    for key in ("e/1", "e/2", "e/3"):
        assert await objects.get(key) == b""
        assert await objects.get_head(key, 100) == (b"", 0)
        assert await objects.get_range(key, 0, 100) == b""
    assert [entry.size for entry in await objects.list("e/")] == [0, 0, 0]
    with pytest.raises(AlreadyExists):
        await objects.create("e/1", [b"x"])


async def test_five_megabytes_in_many_pieces(objects: ObjectStore) -> None:
    whole = os.urandom(5 << 20)
    await objects.create("big", [whole[at : at + 3001] for at in range(0, len(whole), 3001)])
    assert await objects.get("big") == whole
    assert await objects.get_range("big", 1, 4 << 20) == whole[1 : 4 << 20]
    assert await objects.get_head("big", 2 << 20) == (whole[: 2 << 20], len(whole))


AWKWARD = [
    "a%2Bb",
    "a+b",
    "a b",
    "%",
    "%25",
    "%2E%2E",
    "...",
    "ü",
    "日本",
    "a&b=c?d#e",
    "!x",
    "~",
    "a'b\"c",
    "x" * 190,
]


async def test_awkward_keys_round_trip(objects: ObjectStore) -> None:
    for name in AWKWARD:
        await objects.create(f"k/{name}/leaf", [name.encode()])
    assert await objects.list_folders("k/") == sorted(AWKWARD)
    for name in AWKWARD:
        assert await objects.get(f"k/{name}/leaf") == name.encode()
        assert await _keys(objects, f"k/{name}/") == [f"k/{name}/leaf"]
    await objects.delete([f"k/{name}/leaf" for name in AWKWARD])
    assert await objects.list("k/") == []


async def test_a_listing_is_in_the_order_of_whole_keys(objects: ObjectStore) -> None:
    keys = [f"o/{name}" for name in ("a-/1", "a.", "a/1", "a/b/2", "a0", "b", "b-", "b.c", "c/z", "ü/1", "日")]
    for key in reversed(keys):
        await objects.create(key, [b"x"])
    assert await _keys(objects, "o/") == keys == sorted(keys, key=str.encode)


async def test_nested_listings_begin_after_a_key_and_end_at_a_limit(objects: ObjectStore, kind: str) -> None:
    if kind == "s3":
        pytest.skip("SeaweedFS orders `a/1` before `a-/1`: S3Objects.list says so")
    keys = [f"o/{name}" for name in ("a-/1", "a.", "a/1", "a/b/2", "a0", "b", "b-", "b.c", "c/z", "ü/1", "日")]
    for key in keys:
        await objects.create(key, [b"x"])
    for at, key in enumerate(keys):
        assert await _keys(objects, "o/", after=key) == keys[at + 1 :]
        assert await _keys(objects, "o/", after=key, limit=2) == keys[at + 1 : at + 3]
    assert await _keys(objects, "o/", after="o") == keys
    assert await _keys(objects, "o/", after="p") == []
    if kind == "versitygw":
        pytest.skip("versitygw 1.8.0 passes over a-/1 only where start-after is itself a key: nobody asks otherwise")
    assert await _keys(objects, "o/", after="o/a/") == keys[2:]
    assert await _keys(objects, "o/", after="o/a/a") == keys[3:]


async def test_a_queue_is_read_on_after_an_entry(objects: ObjectStore) -> None:
    """As Outbound.standings does: entries are folders of one level, and of one all names are passed over."""
    entries = [f"{number:012x}-{number:016x}" for number in range(6)]
    for entry in entries:
        for name in ("attempt-000001", "message"):
            await objects.create(f"outbound/{entry}/{name}", [b"x"])
    everything = [f"outbound/{entry}/{name}" for entry in entries for name in ("attempt-000001", "message")]
    assert await _keys(objects, "outbound/") == everything
    for at, entry in enumerate(entries):
        after = f"outbound/{entry}/\U0010ffff"
        assert await _keys(objects, "outbound/", after=after, limit=3) == everything[2 * at + 2 :][:3]


async def test_a_flat_listing_of_more_than_a_page(objects: ObjectStore) -> None:
    keys = [f"log/{number:05d}" for number in range(0, 2300, 2)]
    for start in range(0, len(keys), 50):
        await asyncio.gather(*(objects.create(key, [b"x"]) for key in keys[start : start + 50]))
    await objects.create("log-/1", [b"x"])
    await objects.create("lo/1", [b"x"])
    assert await _keys(objects, "log/") == keys
    assert await _keys(objects, "log/", limit=1) == keys[:1]
    assert await _keys(objects, "log/", limit=0) == []
    assert await _keys(objects, "log/", limit=1050) == keys[:1050]
    assert await _keys(objects, "log/", after=keys[99]) == keys[100:]
    assert await _keys(objects, "log/", after="log/00199", limit=3) == keys[100:103]
    assert await _keys(objects, "log/", after=keys[-1]) == []
    assert await _keys(objects, "none/") == []


async def test_entries_have_size_and_time(objects: ObjectStore, kind: str) -> None:
    began = time.time()
    await objects.create("t/1", [b"12345"])
    (entry,) = await objects.list("t/")
    data, modified = await objects.get_with_time("t/1")
    assert (entry.size, data) == (5, b"12345")
    assert entry.modified == pytest.approx(modified, abs=1.01)  # S3 cuts one of them to seconds
    if kind != "memory":
        assert began - 2 < modified < time.time() + 2


async def test_an_entry_has_a_tag_that_is_the_content_s(objects: ObjectStore, kind: str) -> None:
    async def tag() -> str:
        return (await objects.list("a/"))[0].tag

    seen = []
    for content in (b"one", b"two", b"six"):
        await objects.put("a/b", [content])
        seen.append(await tag())
        assert await tag() == seen[-1]
    assert len(set(seen)) == (1 if kind == "memory" else 3)


async def test_folders_are_the_next_segments(objects: ObjectStore, kind: str) -> None:
    for key in ("d/x/1", "d/x/y/2", "d/y", "d/z-/1", "d/z/1", "e/1"):
        await objects.create(key, [b"x"])
    assert await objects.list_folders("d/") == ["x", "z", "z-"]
    assert await objects.list_folders("d/x/") == ["y"]
    assert await objects.list_folders("") == ["d", "e"]
    assert await objects.list_folders("none/") == []
    await objects.delete(["d/x/1", "d/x/y/2"])
    if kind != "s3":  # SeaweedFS shows an emptied folder until it has cleaned up
        assert await objects.list_folders("d/") == ["z", "z-"]


async def test_deleting_many_and_what_is_not_there(objects: ObjectStore) -> None:
    keys = [f"d/{number}" for number in range(1100)]
    await asyncio.gather(*(objects.create(key, [b"x"]) for key in keys[::10]))
    await objects.delete(keys)
    await objects.delete(keys[:3])
    await objects.delete([])
    assert await objects.list("d/") == []
    await objects.create("d/1", [b"anew"])
    assert await objects.get("d/1") == b"anew"


async def _pieces(count: int, size: int, *, failing: bool = False) -> AsyncIterator[Buffer]:
    buffer = bytearray(size)
    for number in range(count):
        buffer[:] = bytes([number % 256]) * size  # one buffer, used again: a store may not keep it
        yield buffer
    if failing:
        raise ConnectionResetError("the client is gone")


@pytest.mark.parametrize(("count", "size"), [(0, 1), (1, 0), (3, 1000), (300, 70_001)])
async def test_upload(objects: ObjectStore, count: int, size: int) -> None:
    assert await objects.upload("p/1", _pieces(count, size)) == count * size
    assert await objects.get("p/1") == b"".join(bytes([number % 256]) * size for number in range(count))
    with pytest.raises(AlreadyExists):
        await objects.upload("p/1", _pieces(count, size))


@pytest.mark.parametrize("count", [0, 3, 300])
async def test_an_upload_cut_short_leaves_nothing(objects: ObjectStore, count: int) -> None:
    with pytest.raises(ConnectionResetError):
        await objects.upload("p/1", _pieces(count, 70_001, failing=True))
    assert await objects.list("") == []
    await objects.create("p/1", [b"free"])


async def test_a_prefix_must_be_a_folder(objects: ObjectStore) -> None:
    await objects.create("a/b/c", [b"x"])
    with pytest.raises(ValueError, match="slash"):
        await objects.list("a/b")
    with pytest.raises(ValueError, match="slash"):
        await objects.list_folders("a/b")
