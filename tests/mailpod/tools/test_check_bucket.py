"""Checks beside those of an account's objects: directory, queue, claims, numbers, books, and what is no damage."""

from __future__ import annotations

import random
from typing import Any, cast

import msgspec
import pytest
from tests.mailpod.store.faults import FakeClock, mail

from mailpod.checksum import checksum
from mailpod.store import NewMessage
from mailpod.store.check import CheckOptions, check_bucket
from mailpod.store.check.repair import repair
from mailpod.store.checkpoint import decode_root, encode_root
from mailpod.store.closing import close_account
from mailpod.store.memory import MemoryObjects
from mailpod.store.names import address_key, log_key, purge_key
from mailpod.store.objects import NotFound
from mailpod.store.page import STATE, decode_state, seal

from .planted import WHOLE, check, damage, flipped, plant, queue, readable


async def test_garbage_is_counted_and_is_no_damage() -> None:
    planted = await plant()
    await planted.checkpoint()
    for kind in ("page", "pack"):
        await planted.objects.create(f"{planted.alice.prefix}{kind}/{'ab' * 12}", [b"x" * 100])
    found = [item for item in await check(planted) if item.severity == "garbage"]
    assert [(item.kind, item.bytes) for item in found if "abab" in item.object] == [
        ("page-unreferenced", 100),
        ("pack-unreferenced", 100),
    ]
    assert await damage(planted) == []


async def test_entries_that_nobody_trusted_signed() -> None:
    planted = await plant()
    alice, domain = address_key("x.test", "alice"), "directory/x.test/!domain"
    await planted.change(alice, lambda data: data.replace(b'"suspended":false', b'"suspended":true '))
    await planted.change(domain, lambda data: flipped(data, -10))
    found = await damage(planted)
    assert {(item.kind, item.object) for item in found} == {("entry-bad", alice), ("entry-bad", domain)}
    assert all("451" in item.effect for item in found)


async def test_the_directory_and_the_accounts_are_compared() -> None:
    planted = await plant()
    await planted.objects.delete(
        [entry.key for entry in await planted.objects.list(planted.bob.prefix)] + [address_key("x.test", "alice")]
    )
    await planted.objects.create("accounts/x.test/carol/" + "0" * 32 + "/log/" + "1".zfill(20), [b"{}"])
    found = {(item.severity, item.kind): item.object for item in await check(planted)}
    assert found["damage", "account-missing"] == planted.bob.prefix
    assert found["note", "account-without-entry"] == planted.alice.prefix
    assert found["note", "account-unnamed"] == "accounts/x.test/carol/" + "0" * 32 + "/"


async def test_a_deletion_that_was_begun_is_finished() -> None:
    planted = await plant()
    await close_account(planted.objects, "x.test", "bob", "b", clock=planted.clock, rng=random.Random(3))
    await planted.objects.delete(["directory/x.test/bob/incarnation/0000000002", address_key("x.test", "bob")])
    (found,) = await damage(planted)
    assert (found.kind, found.object, found.repair) == ("close-unfinished", purge_key("x.test", "bob", 1), "close")
    (mended,) = await repair(planted.objects, [found], clock=planted.clock, rng=random.Random(3))
    assert "incarnation 2" in mended.repaired and await damage(planted) == []


async def test_the_queue() -> None:
    planted = await plant()
    settled, broken, stuck = [await queue(planted) for _ in range(3)]
    await planted.objects.create(f"outbound/{settled}/done", [b"{}\n"])
    await planted.objects.put(f"outbound/{broken}/message", [b"nonsense\n"])
    await planted.objects.create(f"outbound/{stuck}/result-000001", [b"nonsense"])
    found = {item.object: item for item in await check(planted)}
    assert found[f"outbound/{broken}/message"].kind == "spool-bad"
    assert found[f"outbound/{stuck}/result-000001"].kind == "spool-result-bad"
    rest = found[f"outbound/{settled}/"]
    assert (rest.severity, rest.repair) == ("garbage", "clear")
    await repair(planted.objects, [rest], clock=planted.clock, rng=random.Random(99))
    assert await planted.objects.list(f"outbound/{settled}/") == []
    assert await planted.objects.get(f"outbound/{stuck}/message"), "what is not settled stays"


async def test_claims_that_overlap() -> None:
    planted = await plant()
    for name, owner in (("!root", "one"), ("mail%2Fa", "two")):
        claim = b'{"cluster":"%b","namespace":"n","name":"d","confirmed":true}' % owner.encode()
        await planted.objects.create(f".mailpod/claims/{name}", [claim])
    await planted.objects.create(".mailpod/claims/b", [b"nonsense"])
    assert {item.kind for item in await damage(planted)} == {"claims-overlap", "claim-bad"}


async def test_an_account_that_is_written_meanwhile_is_not_taken_for_damaged() -> None:
    planted = await plant()
    account = await planted.checkpoint()
    inner = planted.objects

    class Busy:
        """A page goes under the reader's hands, once, and the account goes on."""

        def __init__(self) -> None:
            self.done = False

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        async def get(self, key: str) -> bytes:
            if not self.done and "/page/" in key:
                self.done = True
                await account.append("Sent", [NewMessage(mail(1))])
                raise NotFound(key)
            return await inner.get(key)

    busy = Busy()
    found = await check_bucket(cast(Any, busy), CheckOptions("alice@x.test"))
    assert busy.done and found.findings.items == []


async def test_after_packing_and_collection_all_is_well() -> None:
    planted = await plant(MemoryObjects(FakeClock()))
    planted.clock = planted.objects._clock  # type: ignore[attr-defined]
    store = planted.store()
    account = await store.open(planted.alice)
    assert await store.pack(account, force=True) > 0
    assert await store.checkpoint(account)
    assert [item for item in await check(planted) if item.severity == "damage"] == []
    for number in range(3):
        planted.clock.time += 2 * 86400
        await account.append("Sent", [NewMessage(mail(40 + number))])
        await store.checkpoint(account)
    planted.clock.time += 2 * 86400
    done = await store.collect(account.ref)
    assert done.commits > 5 and not done.refused
    assert [item for item in await check(planted) if item.severity != "garbage"] == []
    assert (await readable(planted)).items() >= WHOLE.items()


async def test_books_that_differ_from_the_index() -> None:
    """Collection goes by a state's homes, so these must say what the pages say."""
    planted = await plant()
    await planted.checkpoint()
    (key,) = await planted.keys("checkpoint/")
    root = decode_root(await planted.objects.get(key))
    box = next(box for box in root.boxes if box.name == "Archive")
    assert len(box.overlay.homes) == 20 or box.state, "five copies"
    other = next(held[0] for held in root.held if held[0] != 2)
    if len(box.overlay.homes) == 20:
        box.overlay.homes = other.to_bytes(4, "little") + box.overlay.homes[4:]
    else:
        inner = f"{planted.alice.prefix}page/{box.state[0].id}"
        page = decode_state(await planted.objects.get(inner), box.state[0].sum)
        page.homes = other.to_bytes(4, "little") + page.homes[4:]
        data = seal(STATE, page)
        await planted.objects.put(inner, [data])
        box.state[0] = msgspec.structs.replace(box.state[0], sum=checksum(data))
    await planted.objects.put(key, [encode_root(root)])
    await planted.objects.delete([log_key(planted.alice.prefix, 1)])  # else the log would say what is right
    found = await damage(planted)
    assert "homes" in {item.kind for item in found}


async def test_incarnations_that_are_gone_or_cannot_be_read() -> None:
    planted = await plant()
    alice, bob = (f"directory/x.test/{name}/incarnation/0000000001" for name in ("alice", "bob"))
    await planted.objects.delete([alice])
    await planted.objects.put(bob, [b"nonsense"])
    found = {(item.kind, item.object) for item in await damage(planted)}
    assert ("entry-without-incarnation", address_key("x.test", "alice")) in found
    assert ("incarnation-bad", bob) in found and ("entry-without-incarnation", address_key("x.test", "bob")) in found


async def test_a_missing_checkpoint_is_missed_once_the_log_needs_it() -> None:
    planted = await plant()
    await planted.checkpoint()
    (key,) = await planted.keys("checkpoint/")
    await planted.objects.delete([key])
    assert await damage(planted) == [], "the log has it all"
    await planted.checkpoint()
    (key,) = await planted.keys("checkpoint/")
    await planted.objects.delete([key, *(log_key(planted.alice.prefix, number) for number in (1, 2))])
    found = {item.kind: item for item in await damage(planted)}
    assert found["account-unreadable"].object == planted.alice.prefix
    assert found["account-unreadable"].repair == "restore"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"uidnext": 5}, "a UID would be used twice"),
        ({"uidvalidity": 1}, "its UIDVALIDITY 1 is not above 0"),
        ({"modseq": 3}, "clients would miss changes of flags"),
        ({"unseen": 1}, "1 unseen messages are noted"),
        ({"bytes": 7}, "7 bytes are noted"),
    ],
)
async def test_numbers_that_clients_rely_on(wrong: dict[str, int], words: str) -> None:
    """Of a checkpoint whose commits are collected, its own numbers are what can be held against each other."""
    planted = await plant()
    account = await planted.checkpoint()
    await account.append("Sent", [NewMessage(mail(1))])
    (key,) = await planted.keys("checkpoint/")
    root = decode_root(await planted.objects.get(key))
    for name, value in wrong.items():
        setattr(root.boxes[0], name, value)
    if "uidvalidity" in wrong:
        root.floor = 1
    await planted.objects.put(key, [encode_root(root)])
    await planted.objects.delete([log_key(planted.alice.prefix, 1)])
    found = await damage(planted)
    assert any(words.replace("above 0", "above 1") in item.effect for item in found), found
    assert all(item.account == "alice@x.test" for item in found)
