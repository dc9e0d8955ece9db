"""Retention beside everything else: what went of a folder was due, by the log's own dates, and in the end all that is
due went. Its days are as short as the pods' (pods.DAY), and so is the bucket time that it goes by.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from mailpod.errors import MailError
from mailpod.retention.keeper import Retention
from mailpod.retention.settings import RetentionSettings
from mailpod.store.rounds import Rounds

from .activity import activity
from .bucket import EPOCH
from .truth import Broken, Truth, calendar

if TYPE_CHECKING:
    from mailpod.services import Services

    from .oracle import Address
    from .pods import Pod

BIN = "Trash"
SETTINGS = RetentionSettings(batch_messages=3, mailbox_messages=1000, patience=0.2)
_DAYS = (3, 0)  # of the addresses: 0 keeps everything
_CALENDAR_DAY = 86_400


def retention(at: int) -> dict[str, int]:
    """What the Mailbox of the address of this number says."""
    return {BIN: _DAYS[at]} if _DAYS[at] else {}


class SimRounds(Rounds):
    async def now(self) -> float:
        return calendar(await super().now() - EPOCH)


class SimRetention(Retention):
    @property
    def rounds(self) -> Rounds:
        if self._rounds is None:
            store = self._services.store
            self._rounds = SimRounds(store.objects, store.clock, claim_seconds=SETTINGS.claim_seconds)
        return self._rounds

    async def go_round(self, domain: str) -> None:
        """Whoever claimed it: a claim decides nothing (store/rounds.py). Raises MailError."""
        await self._round(domain)


class Keeper:
    """One at a pod. Its rounds meet each other's, as they have no claims."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._rng = random.Random(pod.world.rng.random())
        self._retention = SimRetention(cast("Services", pod.services))

    async def run(self) -> None:
        while True:
            await self._pod.link.wait(self._rng.expovariate(0.2))
            with activity("expunge"):
                try:
                    await self.go_round()
                except MailError as error:
                    self._pod.world.table.done[f"failed: {type(error).__name__}"] += 1

    async def go_round(self) -> None:
        """Raises MailError."""
        for domain in dict.fromkeys(address.domain for address in self._pod.world.oracle.addresses.values()):
            await self._retention.go_round(domain)
        self._pod.world.table.done["retention round"] += 1


def check_binned(address: Address, truth: Truth) -> None:
    """What came into the bin is no older there than the first command that put it there; a clock may be a day off."""
    for (box, uid), saved in truth.entered.items():
        copy = address.copies.get(truth.numbers[box, uid])
        if copy is None or truth.state.boxes[box].name != BIN:
            continue
        if copy.binned is None or saved < calendar(copy.binned) - _CALENDAR_DAY - 1:
            raise Broken(f"{address.name}: message {copy.number} is in {BIN} since before it was put there")


def check_expired(address: Address, truth: Truth, gone: Iterable[tuple[int, int]], now: float) -> int:
    """Before a commit that expunges `gone` is applied: how many nobody asked for, each of which is due. `now` is
    virtual time. Raises Broken."""
    expired = 0
    for box, uid in gone:
        copy = address.copies.get(truth.numbers[box, uid])
        if copy is None or copy.gone != "no":
            continue
        name = truth.state.boxes[box].name
        days = address.retention.get(name, 0)
        if not days:
            raise Broken(f"{address.name}: message {copy.number} was expunged from {name}, and nobody asked for that")
        early = _came(truth, box, uid, calendar(now)) + days * _CALENDAR_DAY - calendar(now)
        if early > 0:
            raise Broken(f"{address.name}: message {copy.number} expired {early / _CALENDAR_DAY:.2f} days early")
        copy.copies[0] -= 1  # fewer may be there; one that is acknowledged only now comes on top
        expired += 1
    return expired


def _came(truth: Truth, box: int, uid: int, now: float) -> float:
    """Into the folder: not before what came before it, and a date that is yet to come says nothing."""
    earlier = (truth.saved[box, each] for each in truth.state.boxes[box].uids if each <= uid)
    return max((saved for saved in earlier if saved <= now), default=0)


async def check_rounds(pod: Pod) -> None:
    """At the end, without faults: a round leaves nothing that is due. Raises Broken."""
    world = pod.world
    if not world.keeps:
        return
    await Keeper(pod).go_round()
    for address in world.oracle.addresses.values():
        truth = address.truth
        if truth is None or truth.state.closed or not address.retention:
            continue
        bin_ = next(box for box in truth.state.boxes.values() if box.name == BIN)
        now = calendar(world.oracle.now())
        late = now - (address.retention[BIN] + 1) * _CALENDAR_DAY
        if bin_.uids and _came(truth, bin_.id, bin_.uids[0], now) < late:
            raise Broken(f"{address.name}: {len(bin_.uids)} messages are in {BIN} still, the first long due")
