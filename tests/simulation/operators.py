"""Operators: they create accounts, close them, purge them and create them again; two at a time, and killed anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.store import incarnations
from mailpod.store.buckettime import BucketClock
from mailpod.store.closing import close_account, finish_close
from mailpod.store.incarnations import AccountRef
from mailpod.store.lifecycle import create_log
from mailpod.store.objects import Ambiguous, NotFound, StorageError
from mailpod.store.purge import pending, purge

from .activity import activity
from .faults import GRACE
from .link import Link
from .oracle import Address
from .pods import PodClock

if TYPE_CHECKING:
    from .world import World

_FAILURES = (StorageError, Ambiguous, NotFound, MailError)


class Operator:
    """Acts on what it believes is wanted; that may be old when it acts."""

    def __init__(self, world: World, link: Link, skew: float) -> None:
        self._world = world
        self.link = link
        self._clock = PodClock(link, skew)
        self._rng = world.fork()
        self._bucket_clock = BucketClock(link, self._clock)

    async def run(self) -> None:
        while True:
            served = all(address.served for address in self._world.oracle.addresses.values())
            await self.link.wait(self._rng.expovariate(0.25 if served else 2.0))
            address = self._rng.choice(list(self._world.oracle.addresses.values()))
            try:
                await self.act(address)
            except _FAILURES as error:
                self._world.table.done[f"operator failed: {type(error).__name__}"] += 1

    async def act(self, address: Address) -> None:
        """Bring one address to what is wanted."""
        table = self._world.table
        if address.operators:
            table.scenarios["two operators at one account"] += 1
        address.operators += 1
        try:
            if address.wanted and not address.served:
                await self.finish_closes(address)
                await self.create(address)
            elif not address.wanted and address.served:
                await self.close(address)
            await self.purge(address)
        finally:
            address.operators -= 1

    async def create(self, address: Address) -> None:
        """As Publisher does, whose entries are OPERATOR.md's matter."""
        local, _, domain = address.name.partition("@")
        with activity("create account"):
            made = await incarnations.in_use(self.link, domain, local, rng=self._rng)
            ref = AccountRef(domain, local, made.id)
            if not await self.link.list(f"{ref.prefix}checkpoint/", limit=1):
                await create_log(self.link, ref, floor=made.floor, clock=self._clock, rng=self._rng)
        self._world.table.done["create account"] += 1
        if made.number > 1:
            self._world.table.scenarios["account created again"] += 1
        address.hints.append(made.id)
        address.served = True

    async def close(self, address: Address) -> None:
        local, _, domain = address.name.partition("@")
        with activity("close"):
            newest = await incarnations.latest(self.link, domain, local)
            if newest is None or newest.absent:
                address.served = False
                return
            address.closing.add(AccountRef(domain, local, newest.id).prefix)
            await close_account(
                self.link, domain, local, "owner", incarnation=newest.id, clock=self._clock, rng=self._rng
            )
        address.served = False
        self._world.table.done["close"] += 1

    async def finish_closes(self, address: Address) -> None:
        """What somebody began and left: before the account is made again, as Publisher does."""
        local, _, domain = address.name.partition("@")
        with activity("close"):
            for found in pending(await self.link.list(f"directory/{address.folder}")):
                if found.closed is None:
                    await finish_close(self.link, domain, local, found.number, clock=self._clock, rng=self._rng)

    async def purge(self, address: Address) -> None:
        await self.finish_closes(address)
        with activity("purge"):
            for found in pending(await self.link.list(f"directory/{address.folder}")):
                halfway = self._world.oracle.half_purged()
                if await purge(self.link, found, now=await self._bucket_clock.now(), grace=GRACE):
                    self._world.table.done["purge"] += 1
                    self._world.table.scenarios["a purge resumed"] += halfway


def make_operator(world: World) -> Operator:
    skew = world.skew()
    link = world.link(skewed=abs(skew) >= 86_400)
    operator = Operator(world, link, skew)

    def crash() -> None:
        link.alive = False

    link.crash = crash
    return operator
