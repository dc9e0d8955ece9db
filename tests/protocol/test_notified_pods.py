"""Two pods on SeaweedFS: who is told by NOTIFY at one of them knows in the end what was done at the other."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.imap import Imap
from tests.harness.server import Mailpod

_LIST = re.compile(rb'\* LIST \(([^)]*)\) "/" (\S+)(?: \("OLDNAME" \((\S+)\)\))?')
_STATUS = re.compile(rb"\* STATUS (\S+) \(([^)]*)\)")
_CHANGES = 60
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


class Picture:
    """What a client makes of what it is told."""

    def __init__(self) -> None:
        self.counts: dict[bytes, dict[bytes, int]] = {}
        self.subscribed: set[bytes] = set()
        self.exists = 0

    def take(self, line: bytes) -> None:
        if found := _STATUS.match(line):
            words = found[2].split()
            self.counts.setdefault(found[1], {}).update(zip(words[::2], map(int, words[1::2]), strict=True))
        elif found := _LIST.match(line):
            attributes, name, old = found.groups()
            (self.subscribed.add if b"\\Subscribed" in attributes else self.subscribed.discard)(name)
            if b"\\NonExistent" in attributes:
                self.counts.pop(name, None)
            elif old and old != b"INBOX":
                self.counts[name] = self.counts.pop(old, {})
            else:
                self.counts.setdefault(name, {b"MESSAGES": 0, b"UIDNEXT": 1, b"UNSEEN": 0})
        elif found := re.match(rb"\* (\d+) EXISTS", line):
            self.exists = int(found[1])
        elif re.match(rb"\* \d+ EXPUNGE", line):
            self.exists -= 1


def change(rng: random.Random, imap: Imap, names: list[str]) -> None:
    """Something at random, which may be refused."""
    name = rng.choice(["INBOX", "INBOX", *names])
    match rng.choice(["append", "append", "append", "flag", "expunge", "create", "rename", "delete", "subscribe"]):
        case "append":
            imap.append(name, MESSAGE)
        case "flag":
            imap.command(f"SELECT {name}")
            imap.command("STORE 1:* +FLAGS (\\Seen)")
        case "expunge":
            imap.command(f"SELECT {name}")
            imap.command("STORE 1 +FLAGS (\\Deleted)")
            imap.command("EXPUNGE")
        case "create":
            imap.command(f"CREATE {rng.choice(names)}")
        case "rename":
            imap.command(f"RENAME {rng.choice(names)} {rng.choice(names)}")
        case "delete":
            imap.command(f"DELETE {rng.choice(names)}")
        case "subscribe":
            imap.command(f"{rng.choice(['SUBSCRIBE', 'UNSUBSCRIBE'])} {rng.choice(names)}")


@pytest.mark.slow
def test_what_was_told_adds_up(seaweed: Seaweed, tmp_path: Path) -> None:
    account, rng = manifest.accounts(1)[0], random.Random(7)
    bucket = seaweed.url("notified", seaweed.new_bucket())
    server = Mailpod(tmp_path, [account], pods=2, bucket=bucket, environment=seaweed.environment)
    server.start()
    try:
        with Imap(server.pod_target(0), account) as watcher, Imap(server.pod_target(1), account) as other:
            picture, names = Picture(), [f"box{n}" for n in range(4)]
            for line in watcher.ok('LIST "" * RETURN (SUBSCRIBED)').texts(b"LIST"):
                picture.take(line)
            watcher.ok("ENABLE CONDSTORE")
            watcher.ok("SELECT INBOX")
            events = "(MessageNew MessageExpunge FlagChange)"
            everything = "(MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"
            for first in watcher.ok(f"NOTIFY SET STATUS (selected {events}) (personal {everything})").untagged:
                picture.take(first.text)
            for _ in range(_CHANGES):
                change(rng, other, names)
            assert other.append("Sent", MESSAGE).ok
            while b"* STATUS Sent (MESSAGES 1 " not in (line := watcher.response().text):
                picture.take(line)
            picture.take(line)
            for last in watcher.ok("NOOP").untagged:
                picture.take(last.text)
            there = Picture()
            asked = "MESSAGES UIDNEXT UNSEEN UIDVALIDITY HIGHESTMODSEQ"
            result = other.ok(f'LIST "" * RETURN (SUBSCRIBED STATUS ({asked}))')
            for response in result.untagged:
                there.take(response.text)
            inbox = there.counts.pop(b"INBOX")
            picture.counts.pop(b"INBOX", None)
            assert picture.exists == inbox[b"MESSAGES"]
            assert picture.subscribed == there.subscribed
            assert picture.counts.keys() == there.counts.keys()
            for name, known in picture.counts.items():
                assert known.items() <= there.counts[name].items(), name
    finally:
        server.stop()
