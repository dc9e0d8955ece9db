"""Mending what needs no guess. Nothing that anybody could still need is deleted or replaced.

- A checkpoint or page that is broken while the log has what it says: a new checkpoint, made by the pods' own code, from
  the newest state that does not rest on what is broken. The broken one stays until it is collected.
- A deletion that was begun and left: its close commit and the absent incarnation (STORE.md rule 15).
- A queue entry whose recipients all have an outcome: its remains are removed, as a pod would have (rule 18).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from mailpod.clock import Clock
from mailpod.errors import MailError
from mailpod.store.account import Account
from mailpod.store.check.account import check_account
from mailpod.store.check.contents import contents
from mailpod.store.check.finding import Finding
from mailpod.store.check.index import Index
from mailpod.store.check.replay import walk_log
from mailpod.store.closing import finish_close
from mailpod.store.incarnations import AccountRef
from mailpod.store.names import checkpoint_key
from mailpod.store.objects import Ambiguous, Entry, ObjectStore, StorageError
from mailpod.store.ops import Recent
from mailpod.store.outbound import Outbound
from mailpod.store.settings import StoreSettings
from mailpod.store.store import Store

from .finding import Findings

_SETTINGS = StoreSettings(checkpoint_commits=1 << 40, checkpoint_header_bytes=1 << 60)  # only the one made here
_MADE = "A new checkpoint was made from the log, at commit {}."


async def repair(objects: ObjectStore, found: Sequence[Finding], *, clock: Clock, rng: random.Random) -> list[Finding]:
    """The findings again, those that were mended with what was done. One that cannot be mended stays as it is."""
    made: dict[str, str] = {}
    out: list[Finding] = []
    for finding in found:
        done = ""
        try:
            if finding.repair == "checkpoint":
                prefix = _account_prefix(finding.object)
                if prefix not in made:
                    made[prefix] = await _checkpoint(objects, prefix, clock, rng)
                done = made[prefix]
            elif finding.repair == "close":
                done = await _close(objects, finding.object, clock, rng)
            elif finding.repair == "clear":
                done = await _clear(objects, finding.object, clock, rng)
        except (MailError, StorageError, Ambiguous) as error:
            finding = replace(finding, effect=f"{finding.effect} It was not mended: {error}.")
        out.append(replace(finding, repaired=done) if done else finding)
    return out


def _account_prefix(key: str) -> str:
    """`accounts/<domain>/<local part>/<incarnation>/` of a key below it."""
    return "/".join(key.split("/")[:4]) + "/"


class _Hiding:
    """The bucket without some checkpoints, so that an account is opened from an earlier state."""

    def __init__(self, inner: ObjectStore, hidden: set[str]) -> None:
        self._inner = inner
        self._hidden = hidden

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        found = await self._inner.list(prefix, after=after, limit=None if limit is None else limit + len(self._hidden))
        return [entry for entry in found if entry.key not in self._hidden][:limit]


async def _checkpoint(objects: ObjectStore, prefix: str, clock: Clock, rng: random.Random) -> str:
    """What was done, or "" where another pod has mended it meanwhile or it did not help."""
    found = await contents(objects, prefix)
    index = Index(objects, found)
    await index.read()
    walk = await walk_log(objects, found, index, Findings())
    sound = set(index.whole()) - walk.wrong
    hidden = set(found.checkpoints) - sound
    _, domain, local, incarnation, _ = prefix.split("/")
    view: Any = _Hiding(objects, {checkpoint_key(prefix, seq) for seq in hidden})
    store = Store(view, settings=_SETTINGS, clock=clock, rng=rng, pod="fsck")
    account = await store.open(AccountRef(domain, unquote(local), incarnation))
    try:
        if account.head in hidden:
            await _change_nothing(account)
        if not await store.checkpoint(account):
            return ""
        head = account.head
    finally:
        account.release()
        await account.idle()
    after = await check_account(objects, prefix, "", bodies=False)
    return _MADE.format(head) if all(item.repair != "checkpoint" for item in after.findings) else ""


async def _change_nothing(account: Account) -> None:
    """A commit without effect: the checkpoint of the present head is broken, and its name is taken."""
    box = next(iter(account.mailboxes.values()))
    await account.commit_operation(Recent(box.id, 1))


async def _close(objects: ObjectStore, key: str, clock: Clock, rng: random.Random) -> str:
    _, domain, local, _, number = key.split("/")
    made = await finish_close(objects, domain, unquote(local), int(number), clock=clock, rng=rng)
    return f"The account was closed, and incarnation {made.number} says that it is gone."


async def _clear(objects: ObjectStore, key: str, clock: Clock, rng: random.Random) -> str:
    await Outbound(objects, clock=clock, rng=rng).clear(key.split("/")[1])
    return "Its remains were removed."
