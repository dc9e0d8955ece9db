"""A pod of the simulated world: its link, its clocks, its store, its queue, and whoever is connected to it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mailpod.addresses import Address as Named
from mailpod.directory import Directory
from mailpod.dkim.signer import Signer
from mailpod.errors import AccountClosed, AccountMissing
from mailpod.net.budget import Budget
from mailpod.queue.settings import QueueSettings
from mailpod.queue.spool import Spool
from mailpod.quota.settings import QuotaSettings
from mailpod.quota.warner import QuotaWarner
from mailpod.relay.relay import Relay
from mailpod.store import Account, AccountRef, Store, StoreSettings
from mailpod.store.collection import Collected
from mailpod.store.entries import DomainEntry, MailboxEntry
from mailpod.store.shares import Shares
from mailpod.store.upkeep import Upkeep

from .activity import activity
from .elsewhere import OUTBOUND, SimRelay
from .faults import GRACE
from .keeping import SETTINGS as RETENTION
from .link import Link
from .truth import DAY, calendar

if TYPE_CHECKING:
    from .oracle import Address
    from .world import World


SETTINGS = StoreSettings(
    grace=GRACE,
    commit_deadline=4.0,
    inline_message_bytes=400,
    repost_bytes=200,
    together_messages=2,
    checkpoint_commits=4,
    checkpoint_interval=0.5,
    page_messages=6,
    state_page_messages=12,
    overlay_entries=4,
    fold_pages=2,
    copy_inline_messages=2,
    pack_objects=6,
    pack_newest=2,
    pack_small_bytes=2000,
    pack_bytes=4000,
    pack_messages=20,
    pack_moves=5,
    pack_small_packs=3,
    pages_ahead=0,  # they are read as those that are asked for; here they would only shift the dice
    search_due=3,
    search_batch=4,
    search_segment=10,
    collect_checkpoints=1,
    own_object_age=GRACE / 2,
    unreferenced_age=4 * GRACE,
    body_cache_bytes=0,
    page_cache_bytes=20_000,
    idle_accounts=0,
)
QUEUE = QueueSettings(
    sweep_seconds=12, takeover_seconds=2, claim_seconds=6, lifetime_seconds=7 * DAY, retry_first=1, retry_longest=10,
)  # fmt: skip


class PodClock:
    """Elapsed time is true, suspension included; the time of day may be a day off."""

    def __init__(self, link: Link, skew: float) -> None:
        self._link = link
        self._skew = skew

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        return calendar(asyncio.get_running_loop().time()) + self._skew

    async def sleep(self, seconds: float) -> None:
        await self._link.wait(seconds)


class SimUpkeep(Upkeep):
    """Names what it does in the background, for the table of faults."""

    world: World

    async def checkpoint(self, account: Account) -> bool:
        with activity("checkpoint"):
            return await super().checkpoint(account)

    async def pack(self, account: Account, *, force: bool = False) -> int:
        with activity("pack"), self.world.several("two packers at one account", account.prefix):
            moved = await super().pack(account, force=force)
            self.world.table.done["packed messages"] += moved
            return moved

    async def collect(self, ref: AccountRef) -> Collected:
        with activity("collect"), self.world.several("two collectors at one account", ref.prefix):
            done = await super().collect(ref)
            for kind in ("commits", "pages", "packs", "checkpoints"):
                self.world.table.done[f"collected {kind}"] += getattr(done, kind)
            return done


class SimSpool(Spool):
    """Its `relay` is given to it."""

    @property
    def relay(self) -> Relay:
        assert self._relay is not None
        return self._relay

    @relay.setter
    def relay(self, relay: Relay) -> None:
        self._relay = relay

    async def _first(self, *args: Any) -> None:
        with activity("hand out"):
            await super()._first(*args)

    async def _take_over(self, *args: Any) -> None:
        with activity("hand out"):
            await super()._take_over(*args)

    async def _sweep(self) -> None:
        with activity("hand out"):
            await super()._sweep()


class SimDirectory(Directory):
    """Addresses as the world has them; incarnations are really looked up."""

    world: World

    async def domain(self, name: str) -> DomainEntry | None:
        served = {address.partition("@")[2] for address in self.world.oracle.addresses}
        return DomainEntry(name=name, hostname=name, max_message_bytes=1 << 20) if name in served else None

    async def mailbox(self, address: Named) -> MailboxEntry | None:
        return entry_of(self.world, self.world.oracle.addresses[str(address)])

    async def lookup(self, address: str) -> MailboxEntry | None:
        return entry_of(self.world, self.world.oracle.addresses[address])


def entry_of(world: World, address: Address) -> MailboxEntry:
    """The address's entry, whose hint of the incarnation may be an old one (STORE.md rule 14)."""
    local, _, domain = address.name.partition("@")
    hints = address.hints[-1:] if world.rng.random() < 0.9 else address.hints
    hint = world.rng.choice(hints) if hints else ""
    return MailboxEntry(address=address.name, domain=domain, local=local, incarnation=hint, retention=address.retention)


@dataclass
class Pod:
    name: str
    world: World
    link: Link
    store: Store
    spool: Spool
    directory: Directory
    shares: Shares
    services: SimpleNamespace
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self, address: Address) -> Account:
        """As the protocols do: past the cache where the account was closed (STORE.md rule 15)."""
        entry = entry_of(self.world, address)
        with activity("open"):
            try:
                return await self.store.open(await self.directory.account(entry))
            except (AccountClosed, AccountMissing):
                return await self.store.open(await self.directory.account(entry, fresh=True))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self.tasks.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None and self.link.alive:
                self.world.fail(error)

        task.add_done_callback(ended)

    def crash(self) -> None:
        """kill -9: nothing of it is answered again, and what it sent is on its way."""
        self.link.alive = False
        if self.spool._runner is not None:
            self.spool._runner.cancel()


def make_pod(world: World, name: str, *, skew: float = 0.0) -> Pod:
    link = world.link(skewed=abs(skew) >= 86_400)
    clock = PodClock(link, skew)
    store = Store(link, settings=world.settings, clock=clock, rng=world.fork(), pod=name)
    upkeep = store._upkeep = SimUpkeep(store)
    upkeep.world = world
    directory = SimDirectory(link, public_keys=[], clock=clock)
    directory.world = world
    settings = SimpleNamespace(
        queue=QUEUE, outbound=OUTBOUND, quota=QuotaSettings(), retention=RETENTION, hostname=name
    )
    services = SimpleNamespace(
        settings=settings, store=store, directory=directory,
        budget=Budget(1 << 20), clock=clock, pod_name=name, signer=Signer(),
    )  # fmt: skip
    services.quota = QuotaWarner(services)  # type: ignore[arg-type]
    spool = SimSpool(services, world.fork())  # type: ignore[arg-type]
    pod = Pod(name, world, link, store, spool, directory, Shares(store, ttl=1.0), services)
    spool.relay = SimRelay(pod, clock, world.fork())  # type: ignore[assignment]
    link.crash = pod.crash
    return pod
