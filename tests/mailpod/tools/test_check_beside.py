"""What fsck says of what is no mail, search postings, policies, counts, and that it knows every kind that there is."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from tests.mailpod.store.faults import mail

import mailpod.store
from mailpod.store import AccountRef, NewMessage, Store, planning
from mailpod.store.check import Finding
from mailpod.store.check.beside import KNOWN
from mailpod.store.checkpoint import decode_root
from mailpod.store.daycounts import DMARC_PREFIX, TLS_PREFIX, DayCounts
from mailpod.store.shares import Shares
from mailpod.store.stspolicies import KeptPolicy, StsPolicies

from .planted import SETTINGS, WHOLE, Planted, check, damage, plant, queue, readable

_DAY = "2026-11-25"


async def indexed(planted: Planted) -> AccountRef:
    """Alice's account, with search postings for eight messages."""
    settings = SETTINGS.model_copy(update={"search_due": 4, "search_batch": 4, "search_segment": 4})
    store = Store(planted.objects, settings=settings, clock=planted.clock, rng=random.Random(5), pod="pod-5")
    account = await store.open(planted.alice)
    assert await store.checkpoint(account)
    for _ in range(2):
        assert await store._upkeep.index(account)
    await account.append("Sent", [NewMessage(mail(30))])
    assert await store.checkpoint(account)
    return account.ref


async def notes(planted: Planted) -> list[Finding]:
    return [item for item in await check(planted) if item.severity == "note"]


@pytest.mark.parametrize("which", ["terms", "postings"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
async def test_broken_search_postings_are_said_and_harm_nobody(which: str, how: str) -> None:
    planted = await plant()
    ref = await indexed(planted)
    root = decode_root(await planted.objects.get((await planted.keys("checkpoint/"))[0]))
    _, second = next(box.mapped for box in root.boxes if box.name == "INBOX")
    key = f"{ref.prefix}page/{getattr(second, which).id}"
    assert await notes(planted) == []
    if how == "missing":
        await planted.objects.delete([key])
    else:
        await planted.change(key, lambda data: data[:-2] if how == "cut" else data[:20] + b"?" + data[21:])
    (found,) = await notes(planted)
    assert (found.kind, found.object) == (f"search-{'missing' if how == 'missing' else 'damaged'}", key)
    assert found.account == "alice@x.test" and "'INBOX', searches read the UIDs 5 to 8" in found.effect
    assert await damage(planted) == [] and (await readable(planted)).items() >= WHOLE.items()


@pytest.mark.parametrize("how", ["flipped", "missing"])
async def test_a_table_of_pages(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "TABLE_PAGES", 1)
    planted = await plant()
    await planted.checkpoint()
    root = decode_root(await planted.objects.get((await planted.keys("checkpoint/"))[0]))
    table = next(ref for box in root.boxes for ref in box.pages if ref.table)
    key = f"{planted.alice.prefix}page/{table.id}"
    await (planted.objects.delete([key]) if how == "missing" else planted.flip(key, 30))
    kind = "page-missing" if how == "missing" else "page-damaged"
    assert (kind, key) in {(item.kind, item.object) for item in await damage(planted)}


@pytest.mark.parametrize(("prefix", "fewer"), [(TLS_PREFIX, "fewer sessions"), (DMARC_PREFIX, "fewer messages")])
async def test_policies_and_counts(prefix: str, fewer: str) -> None:
    planted = await plant()
    policies = StsPolicies(planted.objects, planted.clock)
    await policies.keep("far.test", KeptPolicy("1", "enforce", 86_400, ("mx.far.test",)))
    reports = DayCounts(planted.objects, planted.clock, random.Random(1), prefix)
    await reports.add(_DAY, b"[]")
    assert await reports.claim(_DAY, (await reports.days())[_DAY])
    assert await notes(planted) == [] and await damage(planted) == []
    (count,) = (await reports.days())[_DAY].counts
    await planted.change("mta-sts/far.test", lambda data: data[:-3])
    await planted.change(count, lambda data: b"{}")
    found = {(item.kind, item.object): item.effect for item in await notes(planted)}
    assert "ask that domain" in found.pop(("policy-bad", "mta-sts/far.test"))
    assert fewer in found.pop(("count-bad", count))
    assert found == {}


@pytest.mark.parametrize(
    "key",
    [
        "accounts/x.test/alice/{id}/pages/1", "directory/x.test/alice/notes", "outbound/{entry}/remark", "mta-sts/a/b",
        "shares/x.test/bob/alice",
        f"tlsreports/{_DAY}/total", "backup/today",
    ],
)  # fmt: skip
async def test_what_no_rule_names(key: str) -> None:
    planted = await plant()
    made = key.format(id=planted.alice.prefix.split("/")[3], entry=await queue(planted))
    await planted.objects.create(made, [b"{}"])
    assert [(item.kind, item.object) for item in await notes(planted)] == [
        ("strange-object", "backup/" if key.startswith("backup") else made)
    ]
    assert await damage(planted) == []


async def test_hints_of_shared_mailboxes_are_known() -> None:
    planted = await plant()
    await Shares(planted.store()).announce("x.test", "bob", "alice")
    await Shares(planted.store()).announce("x.test", None, "alice")
    assert await notes(planted) == [] and await damage(planted) == []


def test_every_folder_of_the_format_is_known() -> None:
    text = Path(mailpod.store.__file__).with_name("FORMAT.md").read_text()
    objects = text.split("## Objects")[1].split("\n- ")[0]
    assert set(re.findall(r"^ {4}([a-z-]+)/", objects, re.MULTILINE)) == set(KNOWN)
