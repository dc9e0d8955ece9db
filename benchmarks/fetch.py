"""Reading a mailbox of 10,000 by IMAP, first after a restart and again. `python -m benchmarks.fetch`."""

from __future__ import annotations

import hashlib
import re

from tests.harness.target import Account

from benchmarks.common import Cpu, Options, Table, main
from benchmarks.mail_mix import mix
from benchmarks.raw import Raw, Wrong, login
from benchmarks.systems import System, settled

MESSAGES = 10_000
RESPONSE = re.compile(rb"\* (\d+) FETCH \(")
LITERAL = re.compile(rb"\{(\d+)\}\r\n")
ENVELOPES = b"(ENVELOPE BODYSTRUCTURE)"
FOUR_FIELDS = b"BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]"


def responses(data: bytes) -> list[tuple[bytes, list[bytes]]]:
    """Each untagged FETCH: its text without literals, and the literals."""
    found = []
    at = 0
    while RESPONSE.match(data, at):
        text, literals, start = b"", [], at
        while True:
            end = data.index(b"\r\n", start)
            literal = LITERAL.search(data, start, end + 2)
            if literal is None or literal.end() != end + 2:
                break
            text += data[start:end]
            literals.append(data[end + 2 : end + 2 + int(literal[1])])
            start = end + 2 + int(literal[1])
        text += data[start:end]
        found.append((text, literals))
        at = end + 2
    return found


class Filled:
    """A mailbox with the mix in it, and what each answer about it must say."""

    loaded: dict[str, Filled] = {}  # noqa: RUF012  by system: it is filled once for all runs

    def __init__(self, system: System, count: int) -> None:
        self.account: Account = system.target().accounts[-1]
        self.count = count
        self.subjects: list[bytes] = []
        self.digests: list[bytes] = []
        self.size = 0
        raw = login(system.target(), self.account)
        for message in mix(count):
            # RFC 7888: no waiting for the continuation
            raw.timed(b"APPEND INBOX {%d+}\r\n%s" % (len(message), message))
            self.digests.append(hashlib.sha256(message).digest())
            self.subjects.append(message.partition(b"Subject: ")[2].partition(b"\r\n")[0])
            self.size += len(message)
        raw.close()
        settled(system)  # mail that rests: what a restart finds is packed and indexed
        system.restart()
        Raw.reserve(self.size + 1000 * count)

    @classmethod
    def of(cls, system: System, count: int) -> Filled:
        if system.name not in cls.loaded:
            cls.loaded[system.name] = cls(system, count)
        return cls.loaded[system.name]

    def check_count(self, data: bytes) -> list[tuple[bytes, list[bytes]]]:
        found = responses(data)
        if len(found) != self.count:
            raise Wrong(f"{len(found)} answers for {self.count} messages")
        return found

    def check_envelopes(self, data: bytes) -> None:
        for (text, literals), subject in zip(self.check_count(data), self.subjects, strict=True):
            if (
                subject not in text + b"".join(literals)
                or b"BODYSTRUCTURE" not in text
                or b'"mixed"' not in text.lower()
            ):
                raise Wrong(f"{subject!r} is not in {text!r}")

    def check_fields(self, data: bytes) -> None:
        for (_, literals), subject in zip(self.check_count(data), self.subjects, strict=True):
            head = literals[0]
            if b"Subject: " + subject not in head or b"From: Sender" not in head or b"Received" in head:
                raise Wrong(f"{subject!r} is not in {head!r}")

    def check_bodies(self, data: bytes) -> None:
        for (_, literals), digest in zip(self.check_count(data), self.digests, strict=True):
            if hashlib.sha256(literals[0]).digest() != digest:
                raise Wrong("a message came back changed")

    def check_flags(self, data: bytes) -> None:
        for text, _ in self.check_count(data):
            if b"FLAGS (" not in text:
                raise Wrong(f"no flags in {text!r}")


def fetch(system: System, options: Options, table: Table) -> None:
    filled = Filled.of(system, options.scaled(MESSAGES))

    def session() -> Raw:
        return login(system.target(), filled.account)

    def timed(raw: Raw, row: str, items: bytes, check: object) -> None:
        cpu = Cpu(system)
        took, data = raw.timed(b"FETCH 1:* " + items)
        sample = cpu.sample(filled.count / took, filled.count)
        assert callable(check)
        check(data)
        table.add(row, system, sample)

    for when, restarted in (("after a restart", True), ("again", False)):
        for row, items, check in (
            ("ENVELOPE+BODYSTRUCTURE", ENVELOPES, filled.check_envelopes),
            ("four header fields", FOUR_FIELDS, filled.check_fields),
            ("full download", b"BODY.PEEK[]", filled.check_bodies),
        ):
            if restarted:
                system.restart()
            raw = session()
            timed(raw, f"{row} of {filled.count:,}, {when}, messages per s", items, check)
            raw.close()
    raw = session()
    timed(raw, f"FLAGS of {filled.count:,}, messages per s", b"(FLAGS)", filled.check_flags)
    raw.close()


if __name__ == "__main__":
    main(fetch)
