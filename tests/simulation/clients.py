"""Clients: they send, flag, move, copy, expunge and read, and note what was acknowledged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.errors import Damaged, Expunged, MailError
from mailpod.store import Account, Mailbox, NewMessage

from .activity import activity
from .faults import GRACE
from .keeping import BIN
from .oracle import Address, Copy
from .rights import GUEST, GUESTS
from .truth import Broken

if TYPE_CHECKING:
    from .pods import Pod

_NAMES = ("INBOX", "Archive", "Work")
_STEPS = (
    ("append", 8), ("flag", 4), ("expunge", 2), ("move", 2), ("copy", 1), ("look", 2), ("read", 3), ("folder", 1),
    ("marked", 1), ("annotate", 1), ("grant", 2),
)  # fmt: skip

_BIN_STEPS = (("bin", 6), ("rescue", 3))

_ACTIVITIES = {
    "bin": "copy",
    "rescue": "copy",
    "marked": "append",
    "move": "copy",
    "annotate": "folder",
    "grant": "folder",
}


class Client:
    """One at a pod; it opens an account, does some things, and lets go."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._world = pod.world
        self._rng = random.Random(pod.world.rng.random())
        self._address: Address

    async def run(self) -> None:
        rng, link = self._rng, self._pod.link
        names, weights = zip(*_STEPS, *(_BIN_STEPS if self._world.keeps else ()), strict=True)
        while True:
            await link.wait(rng.expovariate(0.5))
            self._address = self._world.some_address(rng)
            try:
                account = await self._pod.open(self._address)
            except MailError:
                continue
            try:
                for _ in range(rng.randrange(1, 12)):
                    step = rng.choices(names, weights)[0]
                    with activity(_ACTIVITIES.get(step, step)):
                        await getattr(self, f"_{step}")(account)
                    self._world.table.done[step] += 1
                    await link.wait(rng.expovariate(0.6))
            except MailError as error:
                self._world.table.done[f"failed: {type(error).__name__}"] += 1
            finally:
                account.release()

    def _new(self) -> Copy:
        return self._world.new_copy(self._address)

    async def _append(self, account: Account, name: str = "", flags: frozenset[str] = frozenset()) -> None:
        copies = [self._new() for _ in range(self._rng.choice([1, 1, 1, 3]))]
        for copy in copies:
            copy.flags = dict.fromkeys(flags, True)
        messages = [NewMessage(message(self._rng, copy.number), flags=flags) for copy in copies]
        await account.append(name or self._rng.choice(_NAMES[:2]), messages, later=True)
        for copy in copies:
            self._world.oracle.acknowledged(self._address, account.prefix, copy)

    async def _marked(self, account: Account) -> None:
        await self._append(account, "INBOX", frozenset(["\\Seen"]))

    def _find(
        self, account: Account, count: int, names: Sequence[str] = _NAMES
    ) -> tuple[str, list[Copy], list[int]] | None:
        """Some messages of one mailbox as this pod sees it."""
        rng = self._rng
        box = account.mailboxes.get(name := rng.choice(names))
        truth = self._address.truths.get(account.prefix)
        if box is None or truth is None or not box.exists:
            return None
        chosen = []
        for uid in sorted(rng.sample(list(box.uids), min(count, box.exists))):
            copy = self._address.copies.get(truth.numbers[box.id, uid])
            if copy is not None and copy.acknowledged and copy.gone == "no" and copy not in (c for c, _ in chosen):
                chosen.append((copy, uid))
        return (name, [copy for copy, _ in chosen], [uid for _, uid in chosen]) if chosen else None

    async def _flag(self, account: Account) -> None:
        found = self._find(account, self._rng.choice([1, 1, 8]))
        if found is None:
            return
        name, copies, uids = found
        flag, mode = self._rng.choice(["\\Seen", "\\Flagged", "Work"]), self._rng.choice(["add", "remove"])
        if any(flag in copy.unsure for copy in copies):
            return
        for copy in copies:
            copy.unsure.add(flag)
        await account.store_flags(account.mailbox(name), uids, mode, [flag])  # type: ignore[arg-type]
        box = account.mailbox(name)
        for copy, uid in zip(copies, uids, strict=True):
            if box.index(uid) >= 0:  # else moved meanwhile: whether before or after the change is not known
                copy.flags[flag] = mode == "add"
                copy.unsure.discard(flag)

    async def _expunge(self, account: Account) -> None:
        found = self._find(account, self._rng.choice([1, 3]))
        if found is None:
            return
        name, copies, uids = found
        for copy in copies:
            copy.gone = "asked"
        there = set(await account.expunge(account.mailbox(name), uids))
        for copy, uid in zip(copies, uids, strict=True):
            if uid in there:
                copy.gone = "yes"

    async def _move(self, account: Account) -> None:
        found = self._find(account, self._rng.choice([1, 2, 6]))
        if found is None:
            return
        name, _, uids = found
        await account.move(account.mailbox(name), uids, self._rng.choice([to for to in _NAMES if to != name]))

    async def _bin(self, account: Account) -> None:
        found = self._find(account, self._rng.choice([1, 2, 6]))
        if found is None:
            return
        name, copies, uids = found
        for copy in copies:
            copy.binned = asyncio.get_running_loop().time() if copy.binned is None else copy.binned
        await account.move(account.mailbox(name), uids, BIN)

    async def _rescue(self, account: Account) -> None:
        """What is about to expire too, as a round may begin at any moment."""
        found = self._find(account, self._rng.choice([1, 2, 6]), [BIN])
        if found is not None:
            await account.move(account.mailbox(BIN), found[2], "INBOX")

    async def _copy(self, account: Account) -> None:
        found = self._find(account, self._rng.choice([1, 2, 6]))
        if found is None:
            return
        name, copies, uids = found
        for copy in copies:
            copy.copies[1] += 1
        copied = set((await account.copy(account.mailbox(name), uids, self._rng.choice(_NAMES))).source)
        for copy, uid in zip(copies, uids, strict=True):
            copy.copies[0] += uid in copied

    async def _look(self, account: Account) -> None:
        await account.refresh()

    async def _read(self, account: Account, name: str = "") -> None:
        name = name or self._rng.choice(_NAMES)
        box = account.mailboxes.get(name)
        truth = self._address.truths.get(account.prefix)
        if box is None or not box.exists or truth is None:
            return
        uid = self._rng.choice(box.uids)
        try:
            data = await read_message(account, box, uid)
        except (Expunged, Damaged) as error:
            if (box.id, uid) in truth.live and not truth.state.closed:
                raise Broken(f"message {box.id}/{uid} lives and could not be read: {error!r}") from error
            raise
        if f"Subject: message {truth.numbers[box.id, uid]} ".encode() not in data:
            raise Broken(f"UID {uid} of {name} has another message's bytes")

    async def _annotate(self, account: Account) -> None:
        rng, value = self._rng, f"{self._rng.getrandbits(64):016x}"
        name, entry = rng.choice(["", "INBOX", "INBOX"]), f"/private/{rng.randrange(3)}"
        if rng.random() < 0.2:
            await account.annotate(name, [(entry, None)])
            return
        await account.annotate(name, [(entry, value)])
        if value not in self._address.annotated:
            raise Broken("an annotation was acknowledged, and is not in the log")

    async def _grant(self, account: Account) -> None:
        """The hint is there before the commit: a guest who knows of nothing finds the account by it."""
        rng, who = self._rng, self._rng.choice(GUESTS)
        rights = rng.choice(["", "l", "lr", "lri", "lrwi", "rwi"])
        guests, box = self._address.guests, account.mailbox("INBOX")
        domain, local = self._address.domain, self._address.local
        guests.asked(account.prefix)
        await self._pod.shares.announced(
            domain, GUEST, local, lambda: account.grant(box.name, who, lambda before: rights)
        )
        guests.answered(account.prefix)

    async def _folder(self, account: Account) -> None:
        rng = self._rng
        match rng.choice(["create", "create", "rename", "delete", "inbox", "subscribe"]):
            case "create":
                await account.create(rng.choice(["Work", "Work/2026"]))
            case "rename":
                await account.rename("Work", f"Old/{rng.randrange(4)}")
            case "delete":
                box = account.mailbox("Work")
                self._address.deleting.add((account.prefix, box.id))
                await account.delete("Work")
            case "inbox" if rng.random() < 0.2:
                await account.rename("INBOX", f"Old/{rng.randrange(4)}")
            case _:
                await account.subscribe(rng.choice(_NAMES))


class Reader(Client):
    """Opens an account, and reads from it much later, as a POP3 session may; its pod does nothing else."""

    async def run(self) -> None:
        rng, link = self._rng, self._pod.link
        while True:
            await link.wait(rng.expovariate(0.2))
            self._address = self._world.some_address(rng)
            try:
                account = await self._pod.open(self._address)
            except MailError:
                continue
            try:
                await link.wait(rng.uniform(0, 3 * GRACE))
                for _ in range(6):
                    with activity("read"):
                        await self._read(account)
                    self._world.table.done["read late"] += 1
            except MailError as error:
                self._world.table.done[f"failed: {type(error).__name__}"] += 1
            finally:
                account.release()


def message(rng: random.Random, number: int) -> bytes:
    size = rng.choice([10, 10, 100, 600])
    return f"From: a@x.test\r\nSubject: message {number} \r\n\r\n".encode() + b"x" * size + b"\r\n"


async def read_message(account: Account, box: Mailbox, uid: int) -> bytes:
    async for page, rows in box.pages([uid]):
        return await account.body(page.location(rows[0]))
    raise Expunged
