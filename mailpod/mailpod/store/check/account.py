"""One account: log, checkpoints, pages, messages, and what nothing refers to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mailpod.store.check.bodies import Live, check_bodies, check_places, live_messages
from mailpod.store.check.contents import Contents, contents
from mailpod.store.check.finding import Findings
from mailpod.store.check.index import BrokenPage, Index, invariants
from mailpod.store.check.replay import Walk, walk_log
from mailpod.store.check.search import check_search
from mailpod.store.names import checkpoint_key, log_key
from mailpod.store.objects import ObjectStore

_AGAIN = 3  # an account that is written meanwhile is looked at again, so many times at most


@dataclass(slots=True)
class AccountReport:
    """What one account's check came to."""

    findings: Findings
    found: Contents
    index: Index
    walk: Walk
    live: Live = field(default_factory=Live)


async def check_account(
    objects: ObjectStore,
    prefix: str,
    address: str,
    *,
    bodies: bool = True,
    tell: Callable[[float], None] = lambda done: None,
) -> AccountReport:
    """Check `accounts/…/<incarnation>/`. Raises StorageError where the bucket does not answer.

    Damage counts only where the account did not change meanwhile: collection may have taken what an older listing
    shows (STORE.md rule 13).
    """
    for attempt in range(_AGAIN):
        report = await _check(objects, prefix, address, bodies, tell)
        if not report.findings.damaged or attempt == _AGAIN - 1:
            break
        after = await contents(objects, prefix)
        if (after.commits, after.checkpoints) == (report.found.commits, report.found.checkpoints):
            break
    return report


async def _check(
    objects: ObjectStore, prefix: str, address: str, bodies: bool, tell: Callable[[float], None]
) -> AccountReport:
    found = await contents(objects, prefix)
    findings = Findings(address)
    index = Index(objects, found)
    await index.read()
    walk = await walk_log(objects, found, index, findings)
    report = AccountReport(findings, found, index, walk)
    tell(0.3)
    if walk.state is None:
        _judge_checkpoints(report)
        findings.damage(
            prefix, "account-unreadable",
            "Neither commit 1 nor a whole checkpoint is there: the account cannot be opened, and its mail is answered"
            " with 451.", repair="restore",
        )  # fmt: skip
        return report
    newest = max(index.roots, default=0)
    key = checkpoint_key(prefix, newest) if newest else log_key(prefix, walk.state.head)
    invariants(walk.state, key, findings)
    report.live = await live_messages(walk.state, index, found, findings, key=key)
    _judge_checkpoints(report)
    check_places(report.live, found, findings)
    tell(0.5)
    if bodies:
        await check_bodies(objects, report.live, found, findings, lambda done: tell(0.5 + done / 2))
    await check_search(index, found, findings, whole=bodies)
    await _garbage(report)
    tell(1.0)
    return report


def _judge_checkpoints(report: AccountReport) -> None:
    """A broken checkpoint harms where no newer one is whole."""
    index, walk, found = report.index, report.walk, report.found
    whole = [seq for seq in index.whole() if seq not in walk.wrong]
    newest = max(whole, default=0)
    for seq, why in sorted(index.bad_roots.items()):
        _judge(
            report, seq, newest, "checkpoint-damaged", checkpoint_key(found.prefix, seq), f"It cannot be read: {why}"
        )
    for seq, broken in sorted(index.broken.items()):
        for page in broken:
            if page.ref.id in report.live.pages:
                continue  # reading the messages has met it, and said so
            kind = "page-missing" if page.missing else "page-damaged"
            _judge(report, seq, newest, kind, f"{found.prefix}page/{page.ref.id}", _words(page, seq))


def _words(page: BrokenPage, seq: int) -> str:
    state = "is not there" if page.missing else "is damaged"
    return f"A page of the checkpoint of commit {seq}, with {page.what}, {state}"


def _judge(report: AccountReport, seq: int, newest: int, kind: str, key: str, what: str) -> None:
    findings, walk = report.findings, report.walk
    if seq < newest:
        findings.add(kind, key, f"{what}. A newer checkpoint is whole, so nobody is affected.", severity="note")
    elif walk.state is not None and not walk.stopped:
        findings.damage(key, kind, f"{what}. The log has what it says: a new checkpoint mends it.", repair="checkpoint")
    else:
        findings.damage(key, kind, f"{what}, and the log does not have what it says any more.", repair="restore")


async def _garbage(report: AccountReport) -> None:
    """What nothing refers to: left by crashes and lost races, and taken away by collection after a while."""
    found, findings, walk = report.found, report.findings, report.walk
    named = await report.index.references() | walk.copied_pages | report.live.pages
    if not report.index.bad_roots and not walk.stopped and not findings.damaged:
        for name, entry in sorted(found.pages.items()):
            if name not in named:
                findings.add("page-unreferenced", entry.key, "No index names it.", severity="garbage", size=entry.size)
        for name, entry in sorted(found.packs.items()):
            if f"pack/{name}" not in report.live.objects:
                findings.add(
                    "pack-unreferenced", entry.key, "No live message has bytes in it.", severity="garbage",
                    size=entry.size,
                )  # fmt: skip
    for entry in found.strange:
        findings.add("strange-object", entry.key, "No rule of FORMAT.md names it; nobody reads it.", severity="note")
