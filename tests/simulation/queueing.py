"""Senders to several recipients, here and elsewhere: a spool object, which 250 acknowledges, handed out by any pod."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.store.outbound import SpoolEntry, notice_id

from .activity import activity
from .clients import message
from .truth import Broken

if TYPE_CHECKING:
    from .elsewhere import Elsewhere
    from .oracle import Oracle
    from .pods import Pod

SENDER = "s@home.test"
AWAY = ("a@far.test", "b@far.test", "c@further.test")


@dataclass(frozen=True)
class Accepted:
    """A queued message that a sender was told is taken, and the accounts there were then."""

    entry_id: str
    numbers: dict[str, int]  # address -> number of the message
    accounts: dict[str, str]  # address -> prefix of the account in use, "" for none
    away: tuple[str, ...]  # recipients of other domains


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
            away = [name for name in AWAY if rng.random() < 0.4]
            entry = SpoolEntry(pod.spool.new_id(), SENDER, (*copies, *away), 0.0, user=SENDER)
            try:
                with activity("accept"):
                    await pod.spool.accept(entry, message(rng, number))
            except MailError as error:
                world.table.done[f"not accepted: {type(error).__name__}"] += 1
                continue
            world.table.done["accept"] += 1
            accounts = {a.name: a.truth.prefix if a.truth else "" for a in addresses}
            world.accepted.append(Accepted(entry.id, dict.fromkeys(copies, number), accounts, tuple(away)))


def check_accepted(oracle: Oracle, elsewhere: Elsewhere, accepted: list[Accepted]) -> None:
    """When the queue is empty: whatever was accepted reached each account once, unless that was closed meanwhile, and
    each other server at least once; or its sender was told that it did not."""
    for entry in accepted:
        told = _told(elsewhere, entry.entry_id)
        for name, number in entry.numbers.items():
            address = oracle.addresses[name]
            times = [truth.appended[number] for truth in address.truths.values()]
            if any(count > 1 for count in times):
                raise Broken(f"{name}: queued message {number} was handed out {times} times")
            if not any(times) and name not in told:
                raise Broken(f"{name}: queued message {number} was accepted, and never handed out")
        for name in entry.away:
            if not elsewhere.taken.get((entry.entry_id, name)) and name not in told:
                refused = "refused" if (entry.entry_id, name) in elsewhere.refused else "never sent"
                raise Broken(f"{name}: {entry.entry_id} was accepted, then {refused}, and its sender was not told")


def _told(elsewhere: Elsewhere, entry_id: str) -> set[str]:
    """Recipients that a notice of failure is about."""
    made = {notice_id(entry_id, f"{number} failed") for number in range(200)}
    return {recipient for notice, recipient in elsewhere.notices if notice in made}
