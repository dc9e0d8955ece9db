"""Servers of other domains, and what of a message may reach them twice: STORE.md rules 18 and 19."""

from __future__ import annotations

import asyncio
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailpod.relay.destinations import Destinations
from mailpod.relay.settings import OutboundSettings
from mailpod.store.outbound import SpoolEntry
from mailpod.store.outcome import Outcome, decode

from .faults import GRACE
from .truth import Broken

if TYPE_CHECKING:
    from .pods import Pod
    from .world import World

OUTBOUND = OutboundSettings(
    retry_first=1, retry_longest=8, expiry=40 * GRACE, delay_notice=GRACE, claim_seconds=2 * GRACE,
    dot_within=0.75 * GRACE, dot_timeout=GRACE / 2, connections=6, connections_per_destination=3, backoff_first=2,
    backoff_longest=5,
)  # fmt: skip
_ABOUT = re.compile(rb"^Final-Recipient: rfc822; (\S+)\r$", re.MULTILINE)


@dataclass(frozen=True)
class Taken:
    """A message that a server has, by an attempt whose claim began at `began`; the last answer may have been lost."""

    began: float
    lost: bool


class Elsewhere:
    """What all of them have."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.taken: dict[tuple[str, str], list[Taken]] = defaultdict(list)
        self.refused: set[tuple[str, str]] = set()
        self.notices: set[tuple[str, str]] = set()  # notice, recipient that it is about
        self.recorded: dict[tuple[str, str], float] = {}  # when an outcome of 2xx was written down first

    def deleting(self, key: str) -> None:
        if key.endswith("/message"):  # gone is settled
            self.created(key.removesuffix("message") + "done", b"")

    def created(self, key: str, data: bytes) -> None:
        """What an object of the queue says that is there now, or a message that goes."""
        _, entry_id, name = key.split("/")
        if name == "done":
            found = [recipient for taken, recipient in self.taken if taken == entry_id]
        elif name.startswith("result-"):
            outcomes = decode(data).items()
            found = [recipient for recipient, outcome in outcomes if outcome.action in ("relayed", "passed")]
        else:
            return
        for recipient in found:
            self.recorded.setdefault((entry_id, recipient), self._now)

    def take(self, entry: SpoolEntry, recipient: str, message: bytes, taken: Taken) -> None:
        """The final dot is there. Raises Broken for a duplicate that was to be avoided."""
        item = entry.id, recipient
        recorded = self.recorded.get(item)
        for before in self.taken[item] if entry.sender else ():  # a notice made again may land late, as one more
            limit = before.began + OUTBOUND.claim_seconds
            if before.lost:
                continue
            if recorded is not None and recorded <= limit:
                raise Broken(f"{recipient}: {entry.id} was taken, and written down at {recorded}; it is sent again")
            if recorded is None and self._now < limit:
                raise Broken(f"{recipient}: {entry.id} is sent again at {self._now}, before the claim ends at {limit}")
        self._world.table.done["sent"] += 1
        self._world.table.done["sent twice"] += bool(self.taken[item])
        self.taken[item].append(taken)
        if not entry.sender:
            self.notices |= {(entry.id, about.decode()) for about in _ABOUT.findall(message)}

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class SimRelay:
    """What the queue needs of a Relay."""

    def __init__(self, pod: Pod, clock: object, rng: random.Random) -> None:
        self._pod, self._rng, self._clock = pod, rng, clock
        self.destinations = Destinations(OUTBOUND, clock, rng)  # type: ignore[arg-type]

    def destination(self, recipient: str) -> str:
        return recipient.partition("@")[2]

    async def deliver(
        self, entry: SpoolEntry, message: bytes, destination: str, recipients: Sequence[str], dot_before: float
    ) -> dict[str, Outcome]:
        rng, elsewhere, notice = self._rng, self._pod.world.elsewhere, not entry.sender
        await self._pod.link.wait(rng.choice([rng.uniform(0, 0.1), rng.uniform(0, GRACE)]))
        fate = rng.random()
        if fate < 0.1:
            self.destinations.unreachable(destination)
            return dict.fromkeys(recipients, Outcome("delayed", "4.4.1", "no answer in time"))
        if fate < 0.3:
            return dict.fromkeys(recipients, Outcome("delayed", "4.7.1", "451 4.7.1 come back later", said=True))
        if fate < 0.4 and not notice:
            elsewhere.refused |= {(entry.id, recipient) for recipient in recipients}
            return dict.fromkeys(recipients, Outcome("failed", "5.1.1", "550 5.1.1 no such user", said=True))
        if self._clock.elapsed() >= dot_before:  # type: ignore[attr-defined]
            return dict.fromkeys(recipients, Outcome("delayed", "4.4.2", "no time"))
        lost = fate < 0.5
        try:
            for recipient in recipients:
                elsewhere.take(entry, recipient, message, Taken(dot_before - OUTBOUND.dot_within, lost))
        except Broken as error:
            self._pod.world.fail(error)
        await self._pod.link.wait(rng.choice([0.0, rng.uniform(0, OUTBOUND.dot_timeout)]))
        if lost:
            return dict.fromkeys(recipients, Outcome("delayed", "4.4.2", "the last answer was lost"))
        return dict.fromkeys(recipients, Outcome("relayed", "2.0.0", "250 ok", said=True))
