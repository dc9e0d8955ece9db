"""`mailpod inspect ADDRESS`: what an account consists of, down to one message's bytes. Only reads."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from mailpod.store.check.describe import Account, NotThere
from mailpod.store.check.directory import DirectoryCheck, Place
from mailpod.store.check.finding import Findings
from mailpod.store.check.survey import find_places
from mailpod.store.objects import StorageError
from mailpod.tools.bucket import CannotRun, add_options, open_both
from mailpod.tools.output import say

_WHAT = ("log", "checkpoint", "page", "pack", "message")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "inspect",
        help="look at an account's log, checkpoints, pages, packs and messages",
        description="Without more, what the account consists of. `log N`, `checkpoint [N]`, `page ID`, `pack ID` and"
        " `message UID` show one thing. Everything is JSON; only `message UID --raw` is the message.",
    )
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("what", nargs="?", choices=_WHAT)
    parser.add_argument("which", nargs="?", default="", metavar="N|ID|UID")
    add_options(parser)
    parser.add_argument("--incarnation", type=int, metavar="N", help="not the one in use, but this one")
    parser.add_argument("--folder", default="INBOX", help="of `message`")
    parser.add_argument("--raw", action="store_true", help="of `message`: its bytes, though they be damaged")
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
        say(json.dumps(await _look(account, places, options), indent=1, ensure_ascii=False))
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
