"""IMAP sessions with a mailbox selected, by the real view: what a client was told must add up to what the log says."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.imap.view import View
from mailpod.store import Account

from .activity import activity
from .notified import Told
from .truth import Broken

if TYPE_CHECKING:
    from .oracle import Address
    from .pods import Pod

_TOLD = re.compile(rb"\* (\d+) (EXPUNGE|EXISTS|RECENT|FETCH)(?: \(FLAGS \(([^)]*)\)\))?\r\n")
_UIDS, _FLAGS = 9, 10  # fields of a mailbox in State.digest


class Picture:
    """What a client has pieced together: UIDs in order, and flags by UID."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.uids: list[int] = []
        self.flags: dict[int, frozenset[str]] = {}
        self.modseq = 0
        self._fetch(0)

    def _fetch(self, start: int) -> None:
        """As FETCH n:* (UID FLAGS) answers."""
        part, sets = range(start, self.view.exists), self.view.flag_sets()
        for position, index in zip(part, self.view.flag_column(part), strict=True):
            uid = self.view.uid_of(position + 1)
            self.uids.append(uid)
            self.flags[uid] = sets[index]

    def poll(self, allow_expunge: bool) -> None:
        """Take in what the session is told, in its order."""
        for number, kind, flags in _TOLD.findall(b"".join(self.view.poll(allow_expunge))):
            at = int(number) - 1
            if kind == b"EXPUNGE":
                if not allow_expunge:
                    raise Broken("EXPUNGE was told while it may not be (RFC 3501 §7.4.1)")
                del self.flags[self.uids.pop(at)]
            elif kind == b"EXISTS":
                self._fetch(len(self.uids))
                if len(self.uids) != at + 1:
                    raise Broken(f"EXISTS {at + 1} was told, and there are {len(self.uids)}")
            elif kind == b"FETCH":
                self.flags[self.uids[at]] = frozenset(flags.decode().split()) - {"\\Recent"}


class Session:
    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._world = pod.world
        self._rng = random.Random(pod.world.rng.random())

    async def run(self) -> None:
        rng, link = self._rng, self._pod.link
        while True:
            await link.wait(rng.expovariate(0.2))
            address = self._world.some_address(rng)
            try:
                account = await self._pod.open(address)
            except MailError:
                continue
            try:
                with activity("session"):
                    if rng.random() < 0.5:
                        await self._be_notified(account)
                    else:
                        await self._watch(address, account)
            except MailError as error:
                if type(error).__name__ == "AccountClosed":
                    self._world.table.scenarios["account closed under a session"] += 1
            finally:
                account.release()

    async def _be_notified(self, account: Account) -> None:
        """What NOTIFY tells of all mailboxes must add up to what STATUS, LIST and GETMETADATA say."""
        rng = self._rng
        await account.refresh()
        told = Told(account)
        for _ in range(rng.randrange(3, 20)):
            await self._pod.link.wait(rng.expovariate(0.5))
            if rng.random() < 0.5:
                await account.refresh()
            if rng.random() < 0.7:
                told.poll()
        self._world.table.done["notified"] += 1

    async def _watch(self, address: Address, account: Account) -> None:
        rng = self._rng
        await account.refresh()
        box = account.mailbox(rng.choice(["INBOX", "Archive"]))
        picture = Picture(View(account, box, rng.random() < 0.3))
        uidvalidity = box.uidvalidity
        for _ in range(rng.randrange(3, 20)):
            await self._pod.link.wait(rng.expovariate(0.5))
            if rng.random() < 0.5:
                await account.refresh()
            if box.deleted:
                return
            allow = rng.random() < 0.6
            picture.poll(allow)
            if box.uidvalidity != uidvalidity:
                raise Broken("UIDVALIDITY changed in a session")
            self._compare(address, account, picture, allow)
        self._world.table.done["session"] += 1

    def _compare(self, address: Address, account: Account, picture: Picture, all_told: bool) -> None:
        """What was told must be the log's state at this head: only then may its HIGHESTMODSEQ be told."""
        box, who = picture.view.mailbox, f"a session at {self._pod.name}"
        truth = address.truths[account.prefix]
        digest = truth.history.get(account.head)
        if digest is None:
            raise Broken(f"{who} is at {account.head}, which the log of {address.name} has not")
        there = next(found for found in digest[-1] if found[0] == box.id)  # type: ignore[index]
        flags = {uid: frozenset(names) for uid, names in zip(there[_UIDS], there[_FLAGS], strict=True)}
        if all_told and picture.uids != there[_UIDS]:
            raise Broken(f"{who} was told of UIDs {picture.uids} and not {there[_UIDS]}")
        if missing := set(flags) - set(picture.uids):
            raise Broken(f"{who} was not told of UIDs {missing}")
        wrong = [uid for uid, names in flags.items() if picture.flags[uid] != names]
        if wrong:
            raise Broken(f"{who} was told other flags of UIDs {wrong} than commit {account.head} has")
        if all_told:
            if box.highest_modseq < picture.modseq:
                raise Broken(f"{who} was told HIGHESTMODSEQ {picture.modseq}, and now {box.highest_modseq}")
            picture.modseq = box.highest_modseq
