"""What a Mailbox's retention deletes goes as if another client had expunged it."""

from __future__ import annotations

import time

import pytest
from tests.mailpod.imap.dialogue import MakeWorld, other_pod, user

from mailpod.store import NewMessage


async def test_clients_are_told(make: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await make(retention={"patience": 0.01})
    await world.publish(user("ann", retention={"Junk": 14}), user("bob"))
    account = await world.account()
    await account.append("Junk", [NewMessage(b"x")] * 3)
    plain, resyncing = await world.login(select="Junk"), await world.login()
    await resyncing.ok(b"ENABLE QRESYNC")
    await resyncing.ok(b"SELECT Junk")
    elsewhere = (await other_pod(world)).services

    async def later() -> float:
        return time.time() + 15 * 86400

    monkeypatch.setattr(elsewhere.retention.rounds, "now", later)
    await elsewhere.retention.look()
    assert (await plain.ok(b"NOOP")) == [b"* 1 EXPUNGE"] * 3 + [b"* 0 RECENT"]
    assert (await resyncing.ok(b"NOOP"))[0].startswith(b"* VANISHED 1:3")
