"""Access keys of INBOX beside everything else, told by the log: a URL that was authorized opens until its key is reset,
and from the answer to that on at no pod. Its owners do what GENURLAUTH, URLFETCH and RESETKEY do with the store.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.store import Account, ops
from mailpod.store.ops import Header

from .activity import activity
from .truth import Broken

if TYPE_CHECKING:
    from .oracle import Address
    from .pods import Pod

_FIRST, _EVERY, _AT = 1000, 8, 3  # seeds that have it: the others keep their dice


def has_owners(seed: int) -> bool:
    return seed >= _FIRST and seed % _EVERY == _AT


@dataclass(frozen=True, slots=True)
class Shown:
    """A URL of a mailbox's message, by the key that it was authorized with."""

    prefix: str
    box: int
    key: str


class Keys:
    """Of an address's accounts: which key a mailbox had, after which commit."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self._history: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(lambda: [(0, "")])

    def follow(self, prefix: str, header: Header) -> None:
        """After a commit was applied."""
        for op in header.ops:
            if isinstance(op, ops.UrlKey):
                self._history[prefix, op.box].append((header.seq, op.key))

    def since(self, prefix: str, box: int, seq: int) -> set[str]:
        """All that it had at that commit or later."""
        history = self._history[prefix, box]
        first = max(at for at, (commit, _) in enumerate(history) if commit <= seq)
        return {key for _, key in history[first:]}


class Owner:
    """One at a pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._rng = pod.world.fork()

    async def run(self) -> None:
        rng, world = self._rng, self._pod.world
        while True:
            await self._pod.link.wait(rng.expovariate(0.8))
            address = world.some_address(rng)
            step = rng.choice(["authorize", "authorize", "reset", "forget", *["fetch"] * 5])
            try:
                account = await self._pod.open(address)
            except MailError:
                continue
            try:
                with activity("folder"):
                    truth = address.truths.get(account.prefix)
                    head = truth.state.head if truth is not None else 0
                    await getattr(self, f"_{step}")(address, account, head)
                world.table.done[f"url: {step}"] += 1
            except MailError as error:
                world.table.done[f"failed: {type(error).__name__}"] += 1
            finally:
                account.release()

    async def _authorize(self, address: Address, account: Account, head: int) -> None:
        await account.refresh()
        box = account.mailbox("INBOX")
        [key] = await account.url_keys.of([box.name])
        if key.hex() not in address.keys.since(account.prefix, box.id, head):
            raise Broken(f"a URL of {account.prefix} was authorized by a key that no commit from {head} on has")
        address.keys.shown.append(Shown(account.prefix, box.id, key.hex()))

    async def _reset(self, address: Address, account: Account, head: int) -> None:
        await account.url_keys.reset("INBOX")

    async def _forget(self, address: Address, account: Account, head: int) -> None:
        await account.url_keys.forget()

    async def _fetch(self, address: Address, account: Account, head: int) -> None:
        await account.refresh()
        box = account.mailbox("INBOX")
        for shown in address.keys.shown[-5:]:
            if (shown.prefix, shown.box) != (account.prefix, box.id):
                continue
            opens, may = box.url_key == shown.key, address.keys.since(shown.prefix, shown.box, head)
            if opens and shown.key not in may:
                raise Broken(f"{self._pod.name} opens a URL of {shown.prefix} whose key was reset before {head}")
            if not opens and may == {shown.key}:
                raise Broken(f"{self._pod.name} does not open a URL of {shown.prefix} whose key was not reset")
