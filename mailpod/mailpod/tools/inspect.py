"""`mailpod inspect ADDRESS`: what an account consists of, down to one message's bytes. Only reads."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any, Final

from mailpod.store.check.describe import Account, NotThere
from mailpod.store.check.directory import DirectoryCheck, Place
from mailpod.store.check.finding import Findings
from mailpod.store.check.survey import find_places
from mailpod.store.objects import StorageError
from mailpod.tools.bucket import CannotRun, add_options, open_both
from mailpod.tools.output import say, several, size, table
from mailpod.tools.teach import teach

_WHAT: Final = ("log", "checkpoint", "page", "pack", "message")
_HEAD: Final = ("FOLDER", "USE", "MESSAGES", "UNSEEN", "SIZE", "UIDVALIDITY", "UIDNEXT", "MODSEQ")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "inspect",
        help="look at an account's log, checkpoints, pages, packs and messages",
        **teach(
            "Without more, what the account consists of. `log N`, `checkpoint [N]`, `page ID`, `pack ID` and"
            " `message UID` show one thing, as JSON; `message UID --raw` is the message.",
            ("mailpod inspect --bucket data bob@mailpod.test", "its folders, its log and its index"),
            ("mailpod inspect --bucket data bob@mailpod.test log 1", "what a commit did"),
            ("mailpod inspect --bucket data bob@mailpod.test message 3 --raw", "a message as it arrived"),
        ),
    )
    parser.add_argument("address", metavar="ADDRESS", help="whose")
    parser.add_argument("what", nargs="?", choices=_WHAT, help="one thing of it")
    parser.add_argument(
        "which", nargs="?", default="", metavar="N|ID|UID", help="which one: `checkpoint` has the newest"
    )
    add_options(parser)
    parser.add_argument("--incarnation", type=int, metavar="N", help="not the one in use, but this one")
    parser.add_argument("--folder", default="INBOX", help="of `message`")
    parser.add_argument("--raw", action="store_true", help="of `message`: its bytes, though they be damaged")
    parser.add_argument("--json", action="store_true", help="print one JSON document, without more too")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Raises CannotRun."""
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    bucket = await open_both(options)
    try:
        found = await find_places(bucket.objects, options.address)
        directory = DirectoryCheck(bucket.objects, [], Findings())
        for place in found[:1]:
            await directory.read_name(place.domain, place.local)
        places = directory.judge(found)
        account = await Account.open(bucket.objects, _chosen(places, options).prefix)
        if options.what == "message" and options.raw:
            _, at = await account.message(options.folder, _number(options))
            sys.stdout.buffer.write(await account.raw(at))
            return 0
        shown = await _look(account, places, options)
        if options.what or options.json:
            say(json.dumps(shown, indent=1, ensure_ascii=False))
        else:
            _print(options.address, shown)
    except (NotThere, StorageError, ValueError) as error:
        raise CannotRun(str(error)) from None
    return 0


async def _look(account: Account, places: list[Place], options: argparse.Namespace) -> dict[str, Any]:
    match options.what:
        case "log":
            return await account.commit(_number(options))
        case "checkpoint":
            return await account.checkpoint(_number(options) if options.which else 0)
        case "page":
            return await account.page(options.which)
        case "pack":
            return await account.pack(options.which)
        case "message":
            return (await account.message(options.folder, _number(options)))[0]
    incarnations = {place.number: {"id": place.id, "state": place.state} for place in places}
    return {"incarnations": incarnations, **account.summary()}


def _print(address: str, shown: dict[str, Any]) -> None:
    """The summary, for people."""
    log, packs = shown["log"], shown["packs"]
    readable = shown["readable"] if shown["readable"] is not True else "whole"
    facts = [
        ("account", f"{address}, last changed {shown['at']}" + (", closed" if shown["closed"] else "")),
        ("objects", shown["prefix"]),
        *((f"incarnation {number}", f"{one['id']}, {one['state']}") for number, one in shown["incarnations"].items()),
        ("log", f"{several(log['commits'], 'commit')}, {log['first']} to {log['last']}: {readable}"),
        ("checkpoints", ", ".join(f"{seq} {state}" for seq, state in shown["checkpoints"].items()) or "none"),
        ("pages", f"{shown['pages']:,}"),
        ("packs", f"{len(packs):,}, {size(sum(packs.values()))}"),
    ]
    say(table(facts, left=2))
    rows: list[tuple[str, ...]] = [_HEAD]
    for box in shown["folders"]:
        numbers = (box["messages"], box["unseen"], box["uidvalidity"], box["uidnext"], box["highestmodseq"])
        messages, unseen, *others = (str(number) for number in numbers)
        rows.append((box["name"], box["use"] or "", messages, unseen, size(box["bytes"]), *others))
    say()
    say(table(rows, left=2))


def _chosen(places: list[Place], options: argparse.Namespace) -> Place:
    """Raises NotThere."""
    if not places:
        raise NotThere(f"there is no account of {options.address}")
    if options.incarnation is None:
        return max(places, key=lambda place: place.number)
    for place in places:
        if place.number == options.incarnation:
            return place
    raise NotThere(f"no incarnation {options.incarnation}; there are {sorted(place.number for place in places)}")


def _number(options: argparse.Namespace) -> int:
    if not options.which.isdigit():
        raise NotThere(f"{options.what} needs a number")
    return int(options.which)
