"""`mailpod restore`: an account, or the queue, as it was, by an administrator's decision (docs/recover.md)."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from mailpod.addresses import normalize
from mailpod.clock import SystemClock
from mailpod.errors import MailError
from mailpod.store import incarnations
from mailpod.store.names import account_prefix, outbound_prefix
from mailpod.store.objects import Ambiguous, ObjectStore, StorageError
from mailpod.store.opening import s3_settings
from mailpod.store.requeueing import Requeued, requeue
from mailpod.store.restoring import CannotRestore, Restored, discard, restore
from mailpod.store.versions import NoVersions, open_at
from mailpod.tools.bucket import Bucket, CannotRun, add_options, open_both
from mailpod.tools.output import Bar, say, several, size
from mailpod.tools.teach import teach

_DAY: Final = 86_400
_QUEUE_SECONDS: Final = 20 * _DAY  # STORE.md rule 17: 30 days, less some for it to lie on hold and be handed out
_QUEUE: Final = outbound_prefix()


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "restore",
        help="make an address's mail what it was",
        **teach(
            "Write an address's mail as it was as a new incarnation, with a new UIDVALIDITY for every folder: clients"
            " read it afresh. The old one is closed, and stays as it is. While this runs, mail for the address is"
            " answered with 451 and waits at its senders. Of the queue, what was in it and is gone comes back on hold.",
            ("mailpod restore --bucket data bob@mailpod.test --last-consistent", "all that fsck can follow"),
            ("mailpod restore --bucket s3://mail bob@mailpod.test --to 2026-11-23T18:00:00Z", "as it was then"),
            ("mailpod restore --bucket data bob@mailpod.test --discard 1", "what it replaced may go"),
            ("mailpod restore --bucket s3://mail --queue --to 2026-11-23T18:00:00Z", "then: mailpod queue list"),
        ),
    )
    parser.add_argument("address", nargs="?", metavar="ADDRESS", help="whose mail")
    parser.add_argument("--queue", action="store_true", help="no address but the queue; with --to")
    add_options(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--to", metavar="TIME", help="as of this time (2026-11-23T18:00:00Z), from the versions that the bucket keeps"
    )
    what.add_argument(
        "--last-consistent", action="store_true", help="up to the last commit that follows from those before it"
    )
    what.add_argument(
        "--discard", type=int, metavar="N", help="have the operator erase incarnation N, which a restore has replaced"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Raises CannotRun."""
    if options.queue == bool(options.address) or (options.queue and not options.to):
        raise CannotRun("restore needs an ADDRESS, or --queue with --to")
    return asyncio.run(restore_queue(options) if options.queue else restore_address(options))


async def restore_queue(options: argparse.Namespace) -> int:
    """As `run`, of the queue, in a loop that is there. Raises CannotRun."""
    moment = _moment(options.to)
    if moment < time.time() - _QUEUE_SECONDS:
        raise CannotRun(
            "--to: of the queue, the last 20 days: mailboxes remember for 30 what they were given, and would get it"
            " twice"
        )
    bucket = await open_both(options)
    _versioned(bucket)
    try:
        past = await _versions(options, bucket, _QUEUE, moment)
        ever = await _versions(options, bucket, _QUEUE, time.time() + _DAY, deleted=True)
        done = await requeue(bucket.objects, past, ever, clock=SystemClock(), rng=random.SystemRandom())
    except (NoVersions, StorageError, Ambiguous, MailError) as error:
        raise CannotRun(f"the queue was not restored: {error}") from None
    say(json.dumps(asdict(done), indent=1) if options.json else _told(done))
    return 0


def _told(done: Requeued) -> str:
    words = [f"{several(len(done.held), 'message is', 'messages are')} back in the queue, on hold."]
    if done.settled:
        words.append(f"{several(len(done.settled), 'message')} had reached everyone, or the sender was told.")
    if done.there:
        words.append(f"{several(len(done.there), 'message is', 'messages are')} in the queue anyway.")
    if done.held:
        words.append(
            "Whether they had left meanwhile, only the pods' logs tell (relay.relayed, mail.delivered, by id). Then"
            " `mailpod queue release` or `drop`."
        )
    return " ".join(words)


async def restore_address(options: argparse.Namespace) -> int:
    """As `run`, in a loop that is there. Raises CannotRun."""
    try:
        local, domain = normalize(options.address)
    except ValueError as error:
        raise CannotRun(f"not an address: {error}") from None
    moment = _moment(options.to) if options.to else None
    bucket = await open_both(options)
    bar = Bar()
    try:
        if options.discard is not None:
            await discard(bucket.objects, domain, local, options.discard)
            _print_discarded(options)
            return 0
        past = await _past(options, bucket, domain, local, moment) if moment is not None else None
        done = await restore(
            bucket.objects, domain, local, clock=SystemClock(), rng=random.SystemRandom(), past=past, progress=bar
        )
    except (CannotRestore, NoVersions, StorageError, Ambiguous, MailError) as error:
        raise CannotRun(f"{options.address} was not restored: {error}") from None
    finally:
        bar.close()
    if options.json:
        say(json.dumps(asdict(done) | {"address": options.address}, indent=1))
    else:
        _print(options.address, done)
    return 0


def _print_discarded(options: argparse.Namespace) -> None:
    if options.json:
        say(json.dumps({"address": options.address, "discarded": options.discard}, indent=1))
    else:
        say(f"Incarnation {options.discard} of {options.address} is erased by the operator, in a day by default.")


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CannotRun(f"--to: not a time: {text!r}; write it as 2026-11-23T18:00:00Z") from None
    if moment.tzinfo is None:
        raise CannotRun(f"--to: {text!r} names no time zone; Z at its end is UTC")
    return moment.timestamp()


async def _past(options: argparse.Namespace, bucket: Bucket, domain: str, local: str, moment: float) -> ObjectStore:
    """Raises CannotRun, NoVersions, StorageError."""
    _versioned(bucket)
    found = await incarnations.latest(bucket.objects, domain, local)
    if found is None:
        raise CannotRestore("the address never had an account")
    prefix = account_prefix(domain, local, "x").removesuffix("x/")  # every incarnation of the address
    return await _versions(options, bucket, prefix, moment)


def _versioned(bucket: Bucket) -> None:
    """Raises CannotRun."""
    if not bucket.url.startswith("s3://"):
        raise CannotRun(
            "--to: a folder keeps no versions of its objects. Take --last-consistent; or copy a backup of the folder"
            " back, and take it on that (docs/recover.md)"
        )


async def _versions(
    options: argparse.Namespace, bucket: Bucket, prefix: str, moment: float, *, deleted: bool = False
) -> ObjectStore:
    """Raises NoVersions, StorageError."""
    settings = s3_settings(bucket.url, options.credentials_file, options.ca_file)
    return await open_at(settings, prefix, moment, deleted=deleted)


def _print(address: str, done: Restored) -> None:
    at = datetime.fromtimestamp(done.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    say(
        f"{address} is as it was after commit {done.commit} of {at}: {several(done.folders, 'folder')},"
        f" {several(done.messages, 'message')}, {size(done.bytes)}."
    )
    if done.left_out:
        why = f" ({done.reason})" if done.reason else ""
        say(f"{several(done.left_out, 'later commit is', 'later commits are')} not in it{why}.")
    for lost in done.lost:
        say(f"not restored: {lost}")
    say(
        f"Incarnation {done.new.number} is in use now. Incarnation {done.old.number} stays as it is under"
        f" …/{done.old.id}/; once it is not wanted any more: mailpod restore {address} --discard {done.old.number}"
    )
