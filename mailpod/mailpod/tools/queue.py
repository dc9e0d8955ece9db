"""`mailpod queue`: what waits to be delivered, and why; hold it, let it go, hurry it, or drop it.

Changes are objects beside the message (FORMAT.md, "The queue"): pods see them when they next look at the queue, in some
minutes at most.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailpod.clock import SystemClock
from mailpod.errors import MailError
from mailpod.store.outbound import Outbound, SpoolEntry, Standing, merged
from mailpod.store.outcome import Outcome
from mailpod.tools.bucket import CannotRun, add_options, open_both
from mailpod.tools.output import say, several, table
from mailpod.tools.teach import teach

_HEAD: Final = ("ID", "STATE", "SENDER", "RECIPIENTS", "AGE", "TRIES", "LAST")
_AT_ONCE: Final = 16  # entries that are read in parallel
_DONE: Final = {"retry": "to be tried again", "hold": "on hold", "release": "released", "drop": "dropped"}
Change: TypeAlias = Callable[[Outbound, Standing], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry as it is now; `outcomes` are the last of each recipient."""

    standing: Standing
    entry: SpoolEntry
    outcomes: dict[str, Outcome]

    @property
    def state(self) -> str:
        return "held" if self.standing.held else "trying" if self.standing.claimed else "waiting"

    @property
    def open(self) -> list[str]:
        return [one for one in self.entry.recipients if one not in self.outcomes or not self.outcomes[one].final]

    @property
    def age(self) -> float:
        return max(0.0, time.time() - self.entry.created)

    @property
    def last(self) -> str:
        """What was last wrong."""
        said = [self.outcomes[one] for one in self.open if one in self.outcomes]
        newest = max(said, key=lambda outcome: outcome.at, default=None)
        return f"{newest.host}: {newest.text}" if newest and newest.host else newest.text if newest else ""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "queue",
        help="messages that wait to be delivered",
        **teach(
            "`list` shows all, `show ID` one. `retry`, `hold`, `release` and `drop` take IDs, or --all. Pods act on it"
            " when they next look at the queue, in some minutes at most. A dropped message is gone, with no notice.",
            ("mailpod queue --bucket data list", "what waits, for how long, and why"),
            ("mailpod queue --bucket data retry --to example.net", "now, not later: their server is back"),
            ("mailpod queue --bucket data hold --all", "nothing leaves until `release`"),
        ),
    )
    parser.add_argument("what", choices=("list", "show", *_DONE), help="to see, or to do")
    parser.add_argument("ids", nargs="*", metavar="ID", help="as `list` shows them")
    parser.add_argument("--all", action="store_true", help="every message in the queue")
    parser.add_argument("--to", default="", metavar="DOMAIN|ADDRESS", help="only those that wait for it")
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Raises CannotRun."""
    if options.what != "list" and not options.ids and not options.all and not options.to:
        raise CannotRun(f"{options.what} needs an ID, --to or --all")
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    bucket = await open_both(options)
    outbound = Outbound(bucket.objects, clock=SystemClock(), rng=random.SystemRandom())
    try:
        items = [item for item in await _items(outbound, options.ids) if _wanted(item, options.to)]
        if missing := set(options.ids) - {item.standing.id for item in items}:
            raise CannotRun(f"not in the queue: {', '.join(sorted(missing))}")
        if options.what == "list":
            _print(items, options.json)
        elif options.what == "show":
            say(json.dumps([_document(item) for item in items], indent=1, ensure_ascii=False))
        else:
            changed = [await _CHANGES[options.what](outbound, item.standing) for item in items]
            say(f"{several(sum(changed), 'message')} {_DONE[options.what]}")
    except MailError as error:
        raise CannotRun(f"the bucket does not answer: {error.text}") from None
    return 0


async def _items(outbound: Outbound, ids: list[str]) -> list[Item]:
    """Those of `ids`, or all, in the order in which they came."""
    found: list[Standing] = []
    if ids:
        found = [await outbound.standing(one) for one in ids]
    else:
        after = ""
        while some := await outbound.standings(after):
            found += some
            after = some[-1].id
    slots = asyncio.Semaphore(_AT_ONCE)

    async def read(standing: Standing) -> Item | None:
        async with slots:
            entry = None if standing.garbage else await outbound.header(standing.id)
            return Item(standing, entry, merged(await outbound.results(standing))) if entry else None

    return [item for item in await asyncio.gather(*map(read, found)) if item]


def _wanted(item: Item, to: str) -> bool:
    return not to or any(to.lower() in (one.lower(), one.lower().rpartition("@")[2]) for one in item.open)


def _print(items: list[Item], as_json: bool) -> None:
    if as_json:
        say(json.dumps([_document(item) for item in items], indent=1, ensure_ascii=False))
        return
    rows: list[tuple[str, ...]] = [_HEAD]
    for item in items:
        to = item.open[0] if item.open else "-"
        more = f" +{len(item.open) - 1}" if len(item.open) > 1 else ""
        sender = item.entry.sender or "<>"
        tries = len(item.standing.attempts) + (0 in item.standing.results)
        rows.append((item.standing.id, item.state, sender, to + more, _ago(item.age), str(tries), item.last[:80]))
    say(table(rows, left=len(_HEAD)) if items else "The queue is empty.")


def _document(item: Item) -> dict[str, object]:
    entry = item.entry
    return {
        "id": item.standing.id,
        "state": item.state,
        "sender": entry.sender,
        "user": entry.user,
        "created": entry.created,
        "attempts": item.standing.last + (0 in item.standing.results),
        "recipients": [_recipient(one, item.outcomes.get(one)) for one in entry.recipients],
    }


def _recipient(address: str, outcome: Outcome | None) -> dict[str, object]:
    if outcome is None:
        return {"address": address, "outcome": "waiting"}
    said = {"status": outcome.status, "text": outcome.text, "host": outcome.host, "at": outcome.at}
    return {"address": address, "outcome": outcome.action, **{name: value for name, value in said.items() if value}}


def _ago(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


async def _retry(outbound: Outbound, standing: Standing) -> bool:
    if not standing.hurried:
        await outbound.mark(standing.id, "retry", standing.last)
    return True


async def _hold(outbound: Outbound, standing: Standing) -> bool:
    if not standing.held:
        await outbound.mark(standing.id, "hold", max(standing.holds, default=0) + 1)
    return not standing.held


async def _release(outbound: Outbound, standing: Standing) -> bool:
    for number in standing.holds - standing.releases:
        await outbound.mark(standing.id, "release", number)
    return standing.held


async def _drop(outbound: Outbound, standing: Standing) -> bool:
    await outbound.settle(standing.id)
    return True


_CHANGES: Final[dict[str, Change]] = {"retry": _retry, "hold": _hold, "release": _release, "drop": _drop}
