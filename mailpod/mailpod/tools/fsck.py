"""`mailpod fsck`: is what lies in the bucket whole? Exit status 0: yes; 1: damage was found; 2: it could not run."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from mailpod.clock import SystemClock
from mailpod.store.check import CheckOptions, Finding, check_bucket
from mailpod.store.check.finding import no_progress
from mailpod.store.check.repair import repair
from mailpod.store.check.survey import Checked
from mailpod.store.entries import public_key
from mailpod.store.objects import StorageError
from mailpod.tools.bucket import CannotRun, add_options, open_both
from mailpod.tools.output import Bar, say, several, size
from mailpod.tools.teach import teach

_HINTS: Final = {
    "checkpoint": "mend it with --repair",
    "close": "mend it with --repair; the operator does it too",
    "clear": "removed with --repair; pods do it too",
    "restore": "mend it with: mailpod restore {account}",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "fsck",
        help="check a bucket, and mend what needs no guess",
        **teach(
            "Check a bucket against the format. Only reads, unless --repair is given; pods may run meanwhile.",
            ("mailpod fsck --bucket data", "is all of it whole?"),
            ("mailpod fsck --bucket data --quick", "all but the messages' bytes: quicker, and cheaper"),
            ("mailpod fsck --bucket data --account bob@mailpod.test --repair", "mend one account"),
            status="0 clean, 1 damage found (also where it was repaired), 2 it could not run",
        ),
    )
    add_options(parser)
    parser.add_argument("--account", default="", metavar="ADDRESS", help="only this one's mail")
    parser.add_argument("--quick", action="store_true", help="do not read the messages' bytes")
    parser.add_argument("--repair", action="store_true", help="mend what needs no guess; deletes no live data")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--public-key", action="append", default=[], metavar="BASE64", help="trusted for directory entries; repeatable"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Raises CannotRun."""
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    keys = _public_keys(options)
    bucket = await open_both(options)
    bar = Bar()
    try:
        wanted = CheckOptions(options.account, not options.quick, keys)
        progress = no_progress if options.json else bar
        checked = await check_bucket(bucket.objects, wanted, root=bucket.root, progress=progress)
        found: Sequence[Finding] = checked.findings.items
        if options.repair:
            found = await repair(bucket.objects, found, clock=SystemClock(), rng=random.SystemRandom())
    except (StorageError, ValueError) as error:
        raise CannotRun(f"the check was not finished: {error}") from None
    finally:
        bar.close()
    if options.account and not checked.accounts:
        raise CannotRun(f"there is no account of {options.account}")
    if options.json:
        say(json.dumps(_document(bucket.url, checked, found), indent=1))
    else:
        _print(checked, found, quick=options.quick)
    return 1 if any(item.severity == "damage" for item in found) else 0


def _public_keys(options: argparse.Namespace) -> list[bytes]:
    """Those given; else local mode's own, where the folder has it."""
    try:
        keys = [base64.b64decode(key, validate=True) for key in options.public_key]
        if any(len(key) != 32 for key in keys):
            raise ValueError("not 32 bytes")
    except ValueError as error:
        raise CannotRun(f"--public-key: not the base64 of an Ed25519 public key: {error}") from None
    local = Path(options.bucket) / ".local" / "signing.key"
    if not keys and "://" not in options.bucket and local.is_file():
        raw = local.read_bytes()
        return [public_key(raw)] if len(raw) == 32 else []
    return keys


def _document(url: str, checked: Checked, found: Sequence[Finding]) -> dict[str, object]:
    counts = {severity: sum(item.severity == severity for item in found) for severity in ("damage", "garbage", "note")}
    return {
        "version": 1,
        "bucket": url.partition("?")[0],
        "clean": not counts["damage"],
        "accounts": checked.accounts,
        "messages": checked.messages,
        "bytes": checked.bytes,
        "queued": checked.queued,
        "counts": counts | {"repaired": sum(bool(item.repaired) for item in found)},
        "findings": [asdict(item) for item in found],
    }


def _print(checked: Checked, found: Sequence[Finding], *, quick: bool) -> None:
    for item in found:
        if item.severity == "garbage" and not item.repaired:
            continue
        say(f"{item.severity}  {item.kind}  {item.object}")
        say(f"    {item.account + ': ' if item.account else ''}{item.effect}")
        if item.repaired:
            say(f"    repaired: {item.repaired}")
        elif item.repair:
            say(f"    {_HINTS[item.repair].format(account=item.account)}")
    garbage: dict[str, list[int]] = defaultdict(list)
    for item in found:
        if item.severity == "garbage":
            garbage[item.kind].append(item.bytes)
    for kind, sizes in sorted(garbage.items()):
        say(f"garbage  {kind}: {several(len(sizes), 'object')}, {size(sum(sizes))}; collection takes it away")
    damages = sum(item.severity == "damage" for item in found)
    mended = sum(item.severity == "damage" and bool(item.repaired) for item in found)
    say(
        f"{several(checked.accounts, 'account')}, {several(checked.messages, 'message')}, {size(checked.bytes)}"
        f"{' (not read: --quick)' if quick else ''}; {checked.queued:,} queued: "
        + (several(damages, "damage") if damages else "clean")
        + (f", {mended} repaired" if mended else "")
    )
