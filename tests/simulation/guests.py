"""Guests: they read and write in accounts of others, as far as these let them, and find those by hints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import MailError, NoPermission, NoSuchMailbox
from mailpod.store import Access, Account, NewMessage, Who
from mailpod.store.names import encode_local_part
from mailpod.store.shares import SHARES_PREFIX

from .activity import activity
from .clients import Client, message
from .rights import GUEST, GUESTS
from .truth import Broken

if TYPE_CHECKING:
    from .world import World

_STEPS = (("read", 4), ("append", 3), ("flag", 2))


class Guest(Client):
    """Whatever it is answered, the log allowed at a commit no older than its last look; and whatever it changes, the
    log allowed at the very commit before."""

    async def run(self) -> None:
        rng, link = self._rng, self._pod.link
        while True:
            await link.wait(rng.expovariate(0.3))
            if rng.random() < 0.3:
                await self._find_owners()
                continue
            self._address = self._world.some_address(rng)
            await self._visit(rng.choice(GUESTS))

    async def _visit(self, who: Who) -> None:
        rng = self._rng
        try:
            account = await self._pod.open(self._address)
        except MailError:
            return
        names, weights = zip(*_STEPS, strict=True)
        try:
            for _ in range(rng.randrange(1, 6)):
                since = await self._look_now(account)
                await self._pod.link.wait(rng.choice([0.0, rng.uniform(0, 5)]))
                step = rng.choices(names, weights)[0]
                with activity("append" if step == "append" else step):
                    await getattr(self, f"_guest_{step}")(account, who, since)
                self._world.table.done[f"guest {step}"] += 1
        except (NoPermission, NoSuchMailbox):
            self._world.table.done["guest refused"] += 1
        except MailError as error:
            self._world.table.done[f"failed: {type(error).__name__}"] += 1
        finally:
            account.release()

    async def _look_now(self, account: Account) -> int:
        """The log's head when the look began."""
        truth = self._address.truths.get(account.prefix)
        since = truth.state.head if truth is not None else 0
        with activity("look"):
            await account.refresh()
        return since

    async def _guest_read(self, account: Account, who: Who, since: int) -> None:
        box = account.mailboxes["INBOX"]
        Access(who).check(box, "r", "INBOX")
        if "r" not in self._address.guests.rights(account.prefix, box.id, who, since):
            raise Broken(f"{who} reads INBOX of {account.prefix}, which no commit from {since} on lets them")
        await self._read(account, "INBOX")

    async def _guest_append(self, account: Account, who: Who, since: int) -> None:
        copy = self._new()
        self._address.guests.brought[copy.number] = who
        guard = Access(who).guard("INBOX", "i")
        await account.append("INBOX", [NewMessage(message(self._rng, copy.number))], guard=guard)
        self._world.oracle.acknowledged(self._address, account.prefix, copy)

    async def _guest_flag(self, account: Account, who: Who, since: int) -> None:
        box = account.mailboxes["INBOX"]
        if box.exists:
            uids = [self._rng.choice(box.uids)]
            guard = Access(who).guard_box(box, "w")
            await account.store_flags(box, uids, "add", [who.incarnation], guard=guard)

    async def _find_owners(self) -> None:
        """As LIST does (imap/places.py), and what is found to be of no use is tidied up."""
        shares = self._pod.shares
        try:
            owners = await shares.owners("x.test", GUEST)
            without = [local for local in owners if not await self._is_shared(local)]
            await shares.tidy("x.test", GUEST, without)
            self._world.table.done["owners found"] += 1
        except MailError as error:
            self._world.table.done[f"failed: {type(error).__name__}"] += 1

    async def _is_shared(self, local: str) -> bool:
        account = await self._pod.open(self._world.oracle.addresses[f"{local}@x.test"])
        try:
            await account.refresh()
            return any(Access(who).may(box, "l") for who in GUESTS for box in account.mailboxes.values())
        finally:
            account.release()


def check_hints(world: World) -> None:
    """At the end: what is shared is found, where every grant was acknowledged. Raises Broken."""
    for address in world.oracle.addresses.values():
        truth = address.truth
        if truth is None or truth.state.closed or truth.prefix not in address.guests.sure:
            continue
        folder = f"{SHARES_PREFIX}{address.domain}/{GUEST}/{encode_local_part(address.local)}/"
        shared = any(address.guests.listed(truth.prefix, box) for box in truth.state.boxes)
        if shared and not world.bucket.under(folder):
            raise Broken(f"{address.name} shares a mailbox, and no hint leads there")
