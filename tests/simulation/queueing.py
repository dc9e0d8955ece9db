"""Senders to several local recipients: one spool object, which 250 acknowledges, then handed out by any pod."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.store.outbound import SpoolEntry

from .activity import activity
from .clients import message
from .truth import Broken

if TYPE_CHECKING:
    from .oracle import Oracle
    from .pods import Pod


@dataclass(frozen=True)
class Accepted:
    """A queued message that a sender was told is taken, and the accounts there were then."""

    entry_id: str
    numbers: dict[str, int]  # address -> number of the message
    accounts: dict[str, str]  # address -> prefix of the account in use, "" for none


class Sender:
    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._world = pod.world
        self._rng = random.Random(pod.world.rng.random())

    async def run(self) -> None:
        rng, pod, world = self._rng, self._pod, self._world
        while True:
            await pod.link.wait(rng.expovariate(0.08))
            addresses = [address for address in world.oracle.addresses.values() if rng.random() < 0.8]
            if not addresses:
                continue
            copies = {address.name: world.new_copy(address) for address in addresses[:1]}
            number = copies[addresses[0].name].number
            for address in addresses[1:]:
                copies[address.name] = world.new_copy(address, number)
            entry = SpoolEntry(pod.spool.new_id(), "s@far.test", tuple(copies), 0.0)
            try:
                with activity("accept"):
                    await pod.spool.accept(entry, message(rng, number))
            except MailError as error:
                world.table.done[f"not accepted: {type(error).__name__}"] += 1
                continue
            world.table.done["accept"] += 1
            accounts = {a.name: a.truth.prefix if a.truth else "" for a in addresses}
            world.accepted.append(Accepted(entry.id, dict.fromkeys(copies, number), accounts))


def check_accepted(oracle: Oracle, accepted: list[Accepted]) -> None:
    """When the queue is empty: whatever was accepted reached each account once, unless that was closed meanwhile."""
    undelivered = {key.split("/")[1] for key in oracle.bucket.under("outbound/") if key.endswith("/undelivered")}
    for entry in accepted:
        if entry.entry_id in undelivered:
            continue  # given up, and kept for the notice to its sender
        for name, number in entry.numbers.items():
            address = oracle.addresses[name]
            times = [truth.appended[number] for truth in address.truths.values()]
            if any(count > 1 for count in times):
                raise Broken(f"{name}: queued message {number} was handed out {times} times")
            if not any(times):
                raise Broken(f"{name}: queued message {number} was accepted, and never handed out")
