"""A steady load of mail clients in one process, that writes down all it was promised and judges at the end.

    python -m tests.e2e.load < PLAN        PLAN is one line of JSON, see `Plan`; a second line, `stop`, ends the load

It prints lines of JSON: `{"began": true}`, every five seconds `{"progress": …}`, at the end `{"result": …}`. It works
until it was told to stop *and* has done what the plan asks for: a slow machine makes it longer, never less work.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import uvloop
from tests.e2e.load_ledger import Ledger, Stored, Verdict
from tests.e2e.load_wire import Cut, Fault, Server
from tests.e2e.load_work import Attempt, Work

AT_ONCE = 100  # messages, and sessions; beyond it the schedule waits
PATIENCE = 60.0  # seconds, after which a client gives up what it wants: nobody served it
SETTLE = 120.0  # seconds within which what was accepted for several mailboxes must have reached them all
Begin = Callable[[], Coroutine[Any, Any, None]]
_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds before a client connects again; it doubles


@dataclass(frozen=True, slots=True)
class Plan:
    """`accounts` are [address, password]; those in `drained` are emptied by POP3. `ca` is PEM, rates are a second."""

    host: str
    hostname: str
    ports: dict[str, int]
    ca: str
    accounts: list[list[str]]
    drained: list[str]
    seed: int
    messages: int
    sessions: int
    message_rate: float
    session_rate: float


@dataclass(slots=True)
class Tally:
    """What happened, by kind: `message`, `imap`, `pop3`."""

    began: float = field(default_factory=time.monotonic)
    cuts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in ("message", "imap", "pop3")})
    """When each piece of work was done, in seconds since the beginning."""
    waits: list[float] = field(default_factory=list)
    """How long each took, with all that went before its last connection."""

    def now(self) -> float:
        return time.monotonic() - self.began

    @property
    def messages(self) -> int:
        return len(self.times["message"])

    @property
    def sessions(self) -> int:
        return len(self.times["imap"]) + len(self.times["pop3"])

    def gaps(self, seconds: float) -> dict[str, float]:
        """The longest time without a success, of each kind and of all together."""
        together = sorted(moment for moments in self.times.values() for moment in moments)
        return {
            kind: round(longest_gap(moments, seconds), 2) for kind, moments in [*self.times.items(), ("any", together)]
        }

    def waited(self, share: float) -> float:
        """Seconds within which this share of the work was done."""
        return round(sorted(self.waits)[int(share * (len(self.waits) - 1))], 2) if self.waits else 0.0


def longest_gap(moments: Sequence[float], seconds: float) -> float:
    edges = [0.0, *moments, seconds]
    return max(after - before for before, after in pairwise(edges))


class Load:
    """The schedule: so much begins in a second, whether or not what began before it is done."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        server = Server(plan.host, plan.hostname, plan.ports, ssl.create_default_context(cadata=plan.ca))
        passwords = {address: password for address, password in plan.accounts}  # noqa: C416
        self.ledger = Ledger(plan.seed, plan.drained)
        self.work = Work(server, self.ledger, passwords)
        self.tally = Tally()
        self.rng = random.Random(plan.seed)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> float:
        """Until told to stop, and the counts are reached; the seconds it took."""
        plan, tally = self.plan, self.tally
        tally.began = time.monotonic()
        await asyncio.gather(
            self._pace(plan.message_rate, self._message, lambda: tally.messages >= plan.messages),
            self._pace(plan.session_rate, self._session, lambda: tally.sessions >= plan.sessions),
        )
        self.work.close()
        return tally.now()

    async def _pace(self, rate: float, begin: Begin, enough: Callable[[], bool]) -> None:
        slots, running, number = asyncio.Semaphore(AT_ONCE), set[asyncio.Task[None]](), 0

        def done(task: asyncio.Task[None]) -> None:
            running.discard(task)
            slots.release()

        while not (self._stop.is_set() and (enough() or self.tally.faults)):
            await slots.acquire()
            task = asyncio.create_task(begin())
            running.add(task)
            task.add_done_callback(done)
            number += 1
            await asyncio.sleep(max(0.0, number / rate - self.tally.now()))
        await asyncio.gather(*running)

    async def _message(self) -> None:
        await self._until_done("message", self.work.message())

    async def _session(self) -> None:
        """Two in three by IMAP; of the others one in three deletes what it reads."""
        work, kind = self.work, self.rng.randrange(9)
        if kind < 1:
            address = self.rng.choice(sorted(work.drained))
            async with work.drained[address]:
                await self._until_done("pop3", lambda: work.drain_by_pop3(address))
            return
        address = self.rng.choice(work.kept)
        if kind < 3:
            await self._until_done("pop3", lambda: work.read_by_pop3(address))
        else:
            await self._until_done("imap", lambda: work.read_by_imap(address))

    async def _until_done(self, kind: str, attempt: Attempt) -> None:
        """A piece of work, on a new connection after each Cut. A Fault is kept for the end."""
        began, pause = self.tally.now(), _PAUSE
        while True:
            try:
                await attempt()
            except Cut as cut:
                self.tally.cuts[f"{kind}: {cut.kind}"] += 1
            except Fault as fault:
                self.tally.faults.append(f"at {self.tally.now():.1f} s, {kind}: {fault}")
                return
            else:
                self.tally.times.setdefault(kind, []).append(self.tally.now())
                self.tally.waits.append(self.tally.now() - began)
                return
            if self.tally.now() - began > PATIENCE:
                self.tally.faults.append(f"at {self.tally.now():.1f} s, {kind}: not served for {PATIENCE:.0f} s")
                return
            await asyncio.sleep(pause * self.rng.uniform(0.5, 1.5))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def judge(self) -> tuple[Verdict, float]:
        """Of all mailboxes, once what was accepted for several has reached them; and the seconds until then."""
        began = time.monotonic()
        while True:
            verdict = self.ledger.judge(
                {address: await self.work.everything(address) for address in self.work.passwords}
            )
            waited = time.monotonic() - began
            if not verdict.lost or waited > SETTLE:
                return verdict, round(waited, 1)
            await asyncio.sleep(2.0)

    async def _everything(self, address: str) -> list[Stored]:
        """Of one mailbox, on as many connections as it takes. Raises Fault."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.work.everything(address)
            except Cut as cut:
                if time.monotonic() > until:
                    raise Fault(f"{address} is not served: {cut}") from None
                await asyncio.sleep(_LONGEST_PAUSE)

    def progress(self) -> dict[str, Any]:
        tally = self.tally
        counts = {kind: len(moments) for kind, moments in tally.times.items()}
        return {"seconds": round(tally.now(), 1), **counts, "cuts": dict(tally.cuts), "faults": tally.faults[:20]}


async def main(lines: asyncio.StreamReader) -> None:
    load = Load(Plan(**json.loads(await lines.readline())))
    say(began=True)
    reporting = asyncio.create_task(_report(load))
    running, told = asyncio.create_task(load.run()), asyncio.create_task(lines.readline())
    await asyncio.wait([running, told], return_when=asyncio.FIRST_COMPLETED)
    if told.done() and not told.result():
        raise SystemExit("whoever started this load is gone")
    load.stop()
    seconds = await running
    reporting.cancel()
    tally, ledger = load.tally, load.ledger
    result = {
        **load.progress(),
        "seconds": round(seconds, 1),
        "flag changes": load.work.flag_changes,
        "deletions": len(ledger.deleted),
        "unknown": ledger.unknown,
        "unsure flags": ledger.unsure_flags,
        "gaps": tally.gaps(seconds),
        "half within": tally.waited(0.5),
        "all but 1 % within": tally.waited(0.99),
        "slowest": tally.waited(1.0),
    }
    say(loaded=result)
    verdict, settled = await load.judge()
    say(result={**result, "settled": settled, "verdict": asdict(verdict)})


async def _report(load: Load) -> None:
    while True:
        await asyncio.sleep(5)
        say(progress=load.progress())


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def _standard_input() -> asyncio.StreamReader:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    return lines


async def _from_standard_input() -> None:
    await main(await _standard_input())


if __name__ == "__main__":
    uvloop.run(_from_standard_input())
