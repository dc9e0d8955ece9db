"""What a commit costs a pod whose sessions are NOTIFYed of many mailboxes. `python -m benchmarks.notified`.

Milliseconds of the pod's CPU from the commit until every session of the account was told; folder store, fsync on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from tests.harness import manifest
from tests.harness.imap import Imap
from tests.harness.pods import Pods

_EVENTS = "(MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"
_MESSAGE = b"Subject: x\r\n\r\nx\r\n"


def _prepared(pods: Pods, mailboxes: int, sessions: int) -> list[Imap]:
    """Sessions of the accounts in turn, each of which has as many mailboxes."""
    for account in pods.accounts:
        with Imap(pods.target(), account) as imap:
            for number in range(mailboxes):
                imap.ok(f"CREATE box{number:04d}")
    out = [Imap(pods.target(), account) for account in islice(cycle(pods.accounts), sessions)]
    for imap in out:
        imap.ok(f"NOTIFY SET (personal {_EVENTS})")
    return out


def _milliseconds(pods: Pods, commits: int, change: Callable[[int], object], watching: list[Imap]) -> float:
    before = pods.cpu_seconds()
    for number in range(commits):
        change(number)
        for imap in watching:
            imap.response()
    return 1000 * (pods.cpu_seconds() - before) / commits


def _append(writer: Imap, number: int) -> None:
    assert writer.append("box0007", _MESSAGE).ok


def _create(writer: Imap, number: int) -> None:
    writer.ok(f"CREATE new{number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--mailboxes", type=int, default=200)
    parser.add_argument("--accounts", type=int, nargs="*", default=[1, 20])
    parser.add_argument("--commits", type=int, default=20)
    options = parser.parse_args()
    print(f"{options.sessions} sessions, {options.mailboxes} mailboxes each      APPEND     CREATE  (ms CPU)")
    for count in options.accounts:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            pods = stack.enter_context(Pods(Path(folder), manifest.accounts(count), manifest.HOSTNAME))
            watching = _prepared(pods, options.mailboxes, options.sessions)
            for imap in watching:
                stack.callback(imap.close)
            writer, told = stack.enter_context(Imap(pods.target(), pods.accounts[0])), watching[::count]
            appended = _milliseconds(pods, options.commits, partial(_append, writer), told)
            created = _milliseconds(pods, options.commits, partial(_create, writer), told)
        print(f"{count:4} accounts, {len(told):5} told       {appended:16.1f} {created:10.1f}")


if __name__ == "__main__":
    main()
