"""Several pods that write to one account: `python -m benchmarks.contention [--seconds N]`.

How long a client waits for its APPEND where the bucket is some way off and messages come to all pods of a server alike,
as a Service spreads them. Time is virtual: an hour of it takes some seconds, and is the same on every machine. Each
request takes `latency` in the middle, lognormal; half of it passes before it has its effect.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.mailpod.clocks import LoopClock
from tests.mailpod.store.faults import Distant, mail, make_world
from tests.simulation.loop import run

from mailpod import logs
from mailpod.store import Account, NewMessage
from mailpod.store.objects import AlreadyExists, Buffer

CASES: Final = (  # latency in seconds, pods, messages a second to all of them
    (0.005, 2, 20.0), (0.03, 5, 3.0), (0.03, 5, 30.0), (0.1, 2, 10.0), (0.1, 5, 3.0), (0.3, 5, 3.0), (0.3, 10, 3.0),
    (1.0, 2, 3.0), (1.0, 5, 3.0),
)  # fmt: skip
DEADLINE: Final = 15.0  # StoreSettings.commit_deadline: who waits longer is asked to come back
_SPREAD: Final = 0.4  # of the logarithm of a latency


class Races(Distant):
    """Counts those that were lost."""

    lost = 0

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        try:
            await super().create(key, data)
        except AlreadyExists:
            self.lost += 1
            raise


@dataclass
class Load:
    """Messages that come at random, each to a pod of its own choice."""

    pods: Sequence[Account]
    rate: float
    rng: random.Random
    waits: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        loop, running = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        while loop.time() < seconds:
            await asyncio.sleep(self.rng.expovariate(self.rate))
            task = asyncio.create_task(self._append(self.rng.choice(self.pods)))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def _append(self, pod: Account) -> None:
        began = asyncio.get_running_loop().time()
        await pod.append("INBOX", [NewMessage(mail())])
        self.waits.append(asyncio.get_running_loop().time() - began)

    def within(self, share: float) -> float:
        return sorted(self.waits)[int(share * (len(self.waits) - 1))]


async def measure(latency: float, pods: int, rate: float, seconds: float) -> tuple[str, ...]:
    clock, rng = LoopClock(), random.Random(1)
    bucket = Races(lambda: clock.sleep(rng.lognormvariate(0, _SPREAD) * latency / 2), clock)
    world = await make_world(bucket, commit_deadline=1e6, checkpoint_interval=2.0)
    load = Load([await world.pod(clock=clock).open(world.ref) for _ in range(pods)], rate, rng)
    await load.run(seconds)
    late = sum(wait > DEADLINE for wait in load.waits) / len(load.waits)
    cells = f"{sum(load.waits) / len(load.waits):.2f}", f"{load.within(0.5):.2f}", f"{load.within(0.99):.2f}"
    return (
        f"{latency * 1000:.0f}", str(pods), f"{rate:.0f}", *cells, f"{max(load.waits):.2f}", f"{late:.1%}",
        f"{bucket.lost / len(load.waits):.2f}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600.0, help="of virtual time, each")
    seconds = parser.parse_args().seconds
    logs.configure(level="error")
    late = f"over {DEADLINE:.0f} s"
    titles = "latency, ms", "pods", "messages, /s", "mean, s", "half", "99 %", "all", late, "lost races each"
    rows = [titles, ("---:",) * len(titles), *(run(measure(*case, seconds)) for case in CASES)]
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))


if __name__ == "__main__":
    main()
