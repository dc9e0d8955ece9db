"""`mailpod du`: what accounts take in the bucket, and how much of it is dead."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict

from mailpod.store.check.account import check_account
from mailpod.store.check.directory import Place
from mailpod.store.check.measure import Size, measure
from mailpod.store.check.survey import find_places
from mailpod.store.objects import StorageError
from mailpod.tools.bucket import CannotRun, add_options, open_both
from mailpod.tools.output import Bar, say, size, table
from mailpod.tools.teach import teach

_HEAD = ("ADDRESS", "MESSAGES", "MAIL", "LOG", "PACKS", "PAGES", "CHECKPOINTS", "IN ALL", "DEAD", "OBJECTS")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "du",
        help="what accounts take in the bucket",
        **teach(
            "Bytes and objects an account, by kind. MAIL is the bytes of live messages, DEAD what collection takes away"
            " in time.",
            ("mailpod du --bucket data", "who takes how much"),
            ("mailpod du --bucket data bob@mailpod.test --json", "one account, for a program"),
        ),
    )
    parser.add_argument("address", nargs="?", default="", metavar="ADDRESS", help="only this one's")
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Raises CannotRun."""
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    bucket = await open_both(options)
    bar = Bar()
    found: list[tuple[Place, Size]] = []
    try:
        places = await find_places(bucket.objects, options.address)
        for at, place in enumerate(places):
            bar(at / len(places), place.address)
            report = await check_account(bucket.objects, place.prefix, place.address, bodies=False)
            found.append((place, await measure(report)))
    except (StorageError, ValueError) as error:
        raise CannotRun(f"not all could be read: {error}") from None
    finally:
        bar.close()
    if options.address and not found:
        raise CannotRun(f"there is no account of {options.address}")
    if options.json:
        say(json.dumps([_document(place, used) for place, used in found], indent=1))
    else:
        _print(found)
    return 0


def _document(place: Place, used: Size) -> dict[str, object]:
    total = used.total
    return {
        "address": place.address,
        "incarnation": place.id,
        **asdict(used),
        "objects": total.objects,
        "bytes": total.bytes,
        "dead": total.dead,
    }


def _print(found: list[tuple[Place, Size]]) -> None:
    rows: list[tuple[str, ...]] = [_HEAD]
    for place, used in found:
        rows.append(_row(place.address, [used]))
    if len(found) > 1:
        rows.append(_row("in all", [used for _, used in found]))
    say(table(rows))


def _row(name: str, used: list[Size]) -> tuple[str, ...]:
    parts = [sum(one.kinds[kind].bytes for one in used) for kind in ("log", "packs", "pages", "checkpoints")]
    return (
        name,
        f"{sum(one.messages for one in used):,}",
        size(sum(one.mail for one in used)),
        *map(size, parts),
        size(sum(one.total.bytes for one in used)),
        size(sum(one.total.dead for one in used)),
        f"{sum(one.total.objects for one in used):,}",
    )
