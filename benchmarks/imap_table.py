"""Every IMAP row of TARGETS.md, beside Dovecot, in one run: `python -m benchmarks.imap_table [--sizes 10000,100000]`.

All systems are up at once and take turns; each has the same mailboxes: up to 10,000 messages of the mix, or more short
ones. A figure is the median of its runs, and what stands behind it how many times as fast that is as the better of the
peers; where the peers wait for no disk it is in brackets, for they promise less. Answers are counted and compared with
what was put in; a wrong or missing one ends the run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from math import inf

from benchmarks import peers
from benchmarks.append_store import bare_file
from benchmarks.common import Options, Sample, Table, measure, show
from benchmarks.fetch import ENVELOPES, FOUR_FIELDS, Filled, responses
from benchmarks.mail_mix import mix
from benchmarks.raw import Raw, Wrong, login
from benchmarks.systems import KINDS, System, settled

MIXED = 10_000  # mailboxes of more have short messages
SHORT = 1_500  # octets
A_COMMAND = 100  # messages of a MULTIAPPEND
APPENDS, STORES, CHANGES = 100, 200, 10
TURNS = 10  # in which each system has its APPENDs: all wait for a disk, and how fast that is changes within a minute
ROUNDS, RESTARTS = 5, 3  # of what takes no time, and little but a restart
NOT_SYNCED = ("STORE on all, /s", "STORE on one, ms")
"""What Dovecot answers before it is on disk: strace shows no fsync or fdatasync for a STORE, with either store and its
default mail_fsync=optimized; an APPEND waits for four fdatasync (mdbox) or an fsync and two (Maildir)."""
FLOOR = "one fsynced new file (the floor of a durable STORE), ms"
AIMS: dict[tuple[str, int], dict[str, float]] = {
    ("folder", 10_000): {
        "MULTIAPPEND, /s": 28_700,
        "ENVELOPE+BODYSTRUCTURE, after a restart, /s": 200_000,
        "ENVELOPE+BODYSTRUCTURE, again, /s": 600_000,
        "four header fields, after a restart, /s": 200_000,
        "four header fields, again, /s": 800_000,
        "FLAGS, /s": 4_000_000,
        "full download, after a restart, /s": 100_000,
        "SEARCH BODY, a selective string, first after a restart, ms": 300,
        "SEARCH BODY, a selective string, warm, ms": 20,
        "SEARCH BODY, a string of many, warm, ms": 60,
        "SEARCH UNSEEN, again, ms": 1,
        "SEARCH FROM, again, ms": 10,
        "SORT (DATE), again, ms": 10,
        "SORT (SUBJECT), again, ms": 10,
        "THREAD REFERENCES, again, ms": 20,
        "STORE on all, /s": 3_000_000,
        "APPEND, /s": 1_000,
    },
    ("folder", 100_000): {"SELECT, first after a restart, ms": 10, "resync of 10 changes, ms": 5},
    ("seaweedfs", 100_000): {"SELECT, first after a restart, ms": 50, "resync of 10 changes, ms": 10},
}
AIMS["seaweedfs", 10_000] = AIMS["folder", 10_000] | {
    "MULTIAPPEND, /s": 15_000,
    "ENVELOPE+BODYSTRUCTURE, after a restart, /s": 100_000,
    "four header fields, after a restart, /s": 100_000,
    "full download, after a restart, /s": 8_000,
    "full download, again, /s": 40_000,
    "SEARCH BODY, a selective string, first after a restart, ms": 500,
    "APPEND, /s": 600,
}


class Box(Filled):
    """One system's mailbox of a size; `append` is the time that filling it took."""

    made: dict[tuple[str, int], Box] = {}  # noqa: RUF012  by system and size

    def __init__(self, system: System, number: int, messages: Sequence[bytes]) -> None:
        self.account = system.target().accounts[-1 - number]
        self.other = system.target().accounts[number]
        self.count = len(messages)
        self.subjects = [message.partition(b"Subject: ")[2].partition(b"\r\n")[0] for message in messages]
        self.digests = [hashlib.sha256(message).digest() for message in messages]
        self.size = sum(map(len, messages))
        Raw.reserve(self.size + 1000 * self.count)
        raw = login(system.target(), self.account)
        self.append = 0.0
        for start in range(0, self.count, A_COMMAND):
            batch = b"".join(b" {%d+}\r\n%s" % (len(each), each) for each in messages[start : start + A_COMMAND])
            self.append += raw.timed(b"APPEND INBOX" + batch)[0]
        raw.close()
        self.made[system.name, number] = self

    def session(self, system: System, mailbox: str = "INBOX") -> Raw:
        return login(system.target(), self.account, mailbox)


class Works:
    """The rows of one size, in groups; each group is one call for one system."""

    def __init__(self, number: int, count: int) -> None:
        self.number = number
        self.count = count
        self.messages: list[bytes] = []

    def groups(self) -> list[Callable[[System, Options, Table], None]]:
        once = [self.fill, self.rest, self.select, self.metadata, self.download, self.text, self.columns, self.change]
        return once + [self.append] * TURNS

    def box(self, system: System) -> Box:
        return Box.made[system.name, self.number]

    def add(self, table: Table, system: System, row: str, value: float) -> None:
        table.add(f"{self.count:,}: {row}", system, Sample(value))

    def fill(self, system: System, options: Options, table: Table) -> None:
        if (system.name, self.number) in Box.made:
            return
        if not self.messages:
            self.messages = list(mix(self.count, mean=17_000 if self.count <= MIXED else SHORT))
        box = Box(system, self.number, self.messages)
        self.add(table, system, "MULTIAPPEND, /s", self.count / box.append)

    def rest(self, system: System, options: Options, table: Table) -> None:
        """Until nothing is left to be done in the background, which a search takes up again if need be, and the system
        has written what files it holds back, of which one of the peers leaves one a message."""
        raw = self.box(system).session(system)
        raw.timed(b'SEARCH BODY "no such thing"')
        raw.close()
        settled(system)
        os.sync()

    def select(self, system: System, options: Options, table: Table) -> None:
        box = self.box(system)
        for _ in range(RESTARTS):
            system.restart()
            for when in ("first after a restart", "again"):
                raw = box.session(system, "")
                took, data = raw.timed(b"SELECT INBOX")
                raw.close()
                if b"* %d EXISTS" % self.count not in data:
                    raise Wrong(f"{data!r}")
                self.add(table, system, f"SELECT, {when}, ms", took * 1000)
        for _ in range(ROUNDS):
            self._resync(system, box, table)

    def _resync(self, system: System, box: Box, table: Table) -> None:
        raw = box.session(system, "")
        raw.timed(b"ENABLE QRESYNC")
        _, data = raw.timed(b"SELECT INBOX")
        known = [int(re.findall(rb"\[%b (\d+)\]" % name, data)[0]) for name in (b"UIDVALIDITY", b"HIGHESTMODSEQ")]
        changed = random.sample(range(1, self.count + 1), CHANGES)
        for sign in (b"+", b"-"):
            for each in changed:
                raw.timed(b"STORE %d %bFLAGS.SILENT (resynced)" % (each, sign))
        raw.close()
        raw = box.session(system, "")
        raw.timed(b"ENABLE QRESYNC")
        took, data = raw.timed(b"SELECT INBOX (QRESYNC (%d %d))" % (known[0], known[1]))
        raw.close()
        if len(re.findall(rb"\* \d+ FETCH \(", data)) != CHANGES:
            raise Wrong(f"not {CHANGES} changes: {data[:2000]!r}")
        self.add(table, system, "resync of 10 changes, ms", took * 1000)

    def metadata(self, system: System, options: Options, table: Table) -> None:
        box = self.box(system)
        for row, items, check in (
            ("ENVELOPE+BODYSTRUCTURE", ENVELOPES, box.check_envelopes),
            ("four header fields", FOUR_FIELDS, box.check_fields),
        ):
            system.restart()
            raw = box.session(system)
            for when in ("after a restart", "again"):
                self._fetch(raw, system, table, f"{row}, {when}, /s", items, check)
            raw.close()
        raw = box.session(system)
        for _ in range(ROUNDS):
            self._fetch(raw, system, table, "FLAGS, /s", b"(FLAGS)", box.check_flags)
        raw.close()

    def download(self, system: System, options: Options, table: Table) -> None:
        box = self.box(system)
        for _ in range(RESTARTS):
            system.restart()
            raw = box.session(system)
            for when in ("after a restart", "again"):
                self._fetch(raw, system, table, f"full download, {when}, /s", b"BODY.PEEK[]", box.check_bodies)
            raw.close()

    def _fetch(
        self, raw: Raw, system: System, table: Table, row: str, items: bytes, check: Callable[[bytes], None]
    ) -> None:
        took, data = raw.timed(b"FETCH 1:* " + items)
        check(data)
        self.add(table, system, row, self.count / took)

    def text(self, system: System, options: Options, table: Table) -> None:
        """Another line's words each run: of those of the run before a server may remember the answer."""
        system.restart()
        raw = self.box(system).session(system)
        line = len(table.cells.get((f"{self.count:,}: SEARCH BODY, a string of many, warm, ms", system.name), ()))
        for when in ("first after a restart", "warm"):
            rare, common = self._strings(2 * line + (when == "warm"))
            none = f"nothing {when[0]}{line}".encode()
            for what, word in (("a selective string", rare), ("a string of many", common), ("a string of none", none)):
                expected = sum(word in message.partition(b"\r\n\r\n")[2] for message in self.messages)
                row = f"SEARCH BODY, {what}, {when}, ms"
                self._ask(raw, system, table, row, b'SEARCH BODY "%b"' % word, expected)
        raw.close()

    def _strings(self, line: int) -> tuple[bytes, bytes]:
        """Two neighbouring words, and a long one, of a line that some message has."""
        message = max(self.messages[:50], key=len)
        words = message.partition(b"charset=utf-8\r\n\r\n")[2].split(b"\r\n")[line].split(b" ")
        return b" ".join(words[2:4]), max(words, key=len)

    def columns(self, system: System, options: Options, table: Table) -> None:
        system.restart()
        raw = self.box(system).session(system)
        line = len(table.cells.get((f"{self.count:,}: SEARCH FROM, again, ms", system.name), ()))
        for when in ("first after a restart", "again"):
            sender = 7 + 2 * line + (when == "again")  # another each time: a server may remember the answer
            senders = sum(number % 97 == sender for number in range(self.count))
            for row, command, expected in (
                ("SEARCH UNSEEN", b"SEARCH UNSEEN", self.count),
                ("SEARCH FROM", b'SEARCH FROM "sender%d@"' % sender, senders),
                ("SORT (DATE)", b"SORT (DATE) UTF-8 ALL", self.count),
                ("SORT (SUBJECT)", b"SORT (SUBJECT) UTF-8 ALL", self.count),
                ("SORT (FROM)", b"SORT (FROM) UTF-8 ALL", self.count),
                ("THREAD REFERENCES", b"THREAD REFERENCES UTF-8 ALL", self.count),
            ):
                self._ask(raw, system, table, f"{row}, {when}, ms", command, expected)
        raw.close()

    def _ask(self, raw: Raw, system: System, table: Table, row: str, command: bytes, expected: int) -> None:
        took, data = raw.timed(command)
        name = b"* " + command.split(b" ")[0]
        [line] = [each for each in data.split(b"\r\n") if each.startswith(name)]
        found = len(re.findall(rb"\d+", line))
        if found != expected:
            raise Wrong(f"{command!r}: {found} messages for {expected}")
        self.add(table, system, row, took * 1000)

    def change(self, system: System, options: Options, table: Table) -> None:
        box = self.box(system)
        raw = box.session(system)
        for sign in (b"+", b"-") * 2:
            took, _ = raw.timed(b"STORE 1:* %bFLAGS.SILENT (\\Flagged)" % sign)
            flags = responses(raw.timed(b"FETCH 1:* (FLAGS)")[1])
            if sum(b"\\Flagged" in text for text, _ in flags) != (self.count if sign == b"+" else 0):
                raise Wrong("STORE on all did not change all")
            self.add(table, system, "STORE on all, /s", self.count / took)
        chosen = random.sample(range(1, self.count + 1), min(STORES, self.count))
        times = [raw.timed(b"STORE %d +FLAGS.SILENT (\\Answered)" % number)[0] for number in chosen]
        self.add(table, system, "STORE on one, ms", statistics.median(times) * 1000)
        raw.timed(b"STORE 1:* -FLAGS.SILENT (\\Answered)")
        raw.close()
        self.add(table, system, FLOOR, bare_file(100))

    def append(self, system: System, options: Options, table: Table) -> None:
        raw = login(system.target(), self.box(system).other)
        messages = [b"X-Run: %d\r\n%b" % (time.monotonic_ns(), each) for each in self.messages[:APPENDS]]
        took = sum(raw.timed(b"APPEND INBOX {%d+}\r\n%b" % (len(each), each))[0] for each in messages)
        self.add(table, system, "APPEND, /s", len(messages) / took)
        raw.close()


GROUPS = list(dict.fromkeys(work.__name__ for work in Works(0, 0).groups()))


def ratio(row: str, value: float, others: Sequence[float]) -> str:
    """How many times as fast as the better of the peers."""
    if not others or row == FLOOR:
        return ""
    times = min(others) / value if row.endswith(" ms") else value / max(others)
    shown = f"×{times:,.2f}" if times < 10 else f"×{times:,.0f}"
    return f" [{shown} of what is not durable]" if row in NOT_SYNCED else f" ({shown})"


def verdict(kind: str, count: int, row: str, value: float) -> str:
    aim = AIMS.get((kind, count), {}).get(row)
    if aim is None:
        return ""
    met = value <= aim if row.endswith(" ms") else value >= aim
    return f"; {'meets' if met else '**misses**'} {aim:,.0f}"


def rendered(table: Table, kinds: Sequence[str], names: Sequence[str]) -> str:
    """Markdown: a line a row, a column a system."""
    theirs = [name for kind, name in zip(kinds, names, strict=True) if kind.startswith("peers")]
    lines = ["| work | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    lines.append("| waits for | " + " | ".join(table.durable[name] for name in names) + " |")
    for full in table.rows():
        size, _, row = full.partition(": ")
        found = {name: sample.value for name in names if (sample := table.median(full, name))}
        cells = []
        for kind, name in zip(kinds, names, strict=True):
            cell = show(found[name]) if name in found else "–"
            if name in found and name not in theirs:
                cell += ratio(row, found[name], [found[each] for each in theirs if each in found])
                cell += verdict(kind, int(size.replace(",", "")), row, found[name])
            cells.append(cell)
        lines.append(f"| {full} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000", help="of mailboxes, with commas between them")
    parser.add_argument("--systems", default="folder,seaweedfs,peers,peers-mdbox", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--only", help=f"of {', '.join(GROUPS)}; fill is always done")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=inf, help="begin no further run that would end after so many")
    given = parser.parse_args()
    kinds = given.systems.split(",")
    if any(kind.startswith("peers") for kind in kinds) and (why := peers.usable()):
        print(f"without the peers: {why}", file=sys.stderr)
        kinds = [kind for kind in kinds if not kind.startswith("peers")]
    table = Table()
    chosen = {"fill", *(given.only.split(",") if given.only else GROUPS)}
    works = [
        work
        for number, count in enumerate(map(int, given.sizes.split(",")))
        for work in Works(number, count).groups()
        if work.__name__ in chosen
    ]
    measure(works, Options(kinds, given.runs, 1.0, given.minutes * 60, None), table)
    print(rendered(table, kinds, list(table.durable)))
    print(f"\nMedians. {table.order}; {table.took:.0f} s.")


if __name__ == "__main__":
    main()
