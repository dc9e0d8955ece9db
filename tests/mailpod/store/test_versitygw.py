"""The store on a second S3 server: the probe's verdict, and pods that race for one account."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator

import pytest
from tests.fixtures_versitygw import Versity
from tests.mailpod.store.faults import mail

from mailpod.clock import SystemClock
from mailpod.store import NewMessage, Store, StoreSettings, new_account
from mailpod.store.check import CheckOptions, check_bucket
from mailpod.store.objects import ObjectStore
from mailpod.store.opening import open_bucket
from mailpod.store.probe import probe

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)
PODS, EACH = 3, 25


@pytest.fixture
async def objects(versity: Versity, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ObjectStore]:
    for name, value in versity.environment.items():
        monkeypatch.setenv(name, value)
    store = await open_bucket(versity.url(f"store-{next(_numbers)}"))
    yield store
    await store.close()


async def test_the_probe_finds_it_fit(objects: ObjectStore) -> None:
    result = await probe(objects, rng=random.Random(1))
    assert result.ok, result


async def test_three_pods_append_to_one_account_and_every_message_is_there_once(objects: ObjectStore) -> None:
    ref = await new_account(objects, "x.test", "alice", rng=random.Random(2))
    settings = StoreSettings(commit_deadline=60.0, checkpoint_interval=0.0)
    stores = [
        Store(objects, settings=settings, clock=SystemClock(), rng=random.Random(10 + pod), pod=f"pod-{pod}")
        for pod in range(PODS)
    ]

    async def work(pod: int, store: Store) -> None:
        account = await store.open(ref)
        for number in range(EACH):
            await account.append("INBOX", [NewMessage(mail(1000 * pod + number))])
        account.release()

    await asyncio.gather(*(work(pod, store) for pod, store in enumerate(stores)))
    account = await stores[0].open(ref)
    await account.refresh()
    box = account.mailbox("INBOX")
    texts = [await account.body(page.location(row)) async for page, rows in box.pages(box.uids) for row in rows]
    assert sorted(texts) == sorted(mail(1000 * pod + number) for pod in range(PODS) for number in range(EACH))
    for store in stores:
        await store.close()
    found = await check_bucket(objects, CheckOptions())
    assert not found.findings.damaged, found.findings.items
    assert found.messages == PODS * EACH
