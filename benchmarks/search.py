"""SEARCH, SORT and THREAD in a mailbox of 10,000, in ms. `python -m benchmarks.search`.

The first rows of BODY are asked of a server that just started; the next strings are others, of which it knows nothing
but what it read for those; again are the same, whose answers it remembers. Every answer is compared with what the
messages hold: a message too many, or one missed, ends the run.
"""

from __future__ import annotations

from benchmarks.common import Options, Sample, Table, main
from benchmarks.fetch import MESSAGES, Filled
from benchmarks.mail_mix import mix
from benchmarks.raw import Raw, Wrong, login
from benchmarks.systems import System, settled


def holding(count: int, word: bytes) -> int:
    """How many messages of the mix hold this in their bodies."""
    return sum(word in message.partition(b"\r\n\r\n")[2] for message in mix(count))


def words_of(count: int, row: int = 0) -> tuple[bytes, bytes]:
    """Two neighbouring words that few messages hold, and one that many do; of a line of a message."""
    *_, message = mix(min(count, 50))
    line = message.partition(b"charset=utf-8\r\n\r\n")[2].split(b"\r\n")[row].split(b" ")
    return b" ".join(line[2:4]), max(line, key=len)


def asked_of(count: int, row: int, nowhere: bytes) -> list[tuple[str, bytes, int]]:
    """Strings, and how many messages hold them."""
    rare, common = words_of(count, row)
    return [
        ("a rare string", rare, holding(count, rare)),
        ("a common word", common, holding(count, common)),
        ("none", nowhere, 0),
    ]


def ask(raw: Raw, row: str, command: bytes, expected: int | None, system: System, table: Table) -> None:
    took, data = raw.timed(command)
    name = command.split(b" ")[0]
    [line] = [each for each in data.split(b"\r\n") if each.startswith(b"* " + name)]
    found = len(line.replace(b"(", b" ").split()) - 2
    if expected is not None and found != expected:
        raise Wrong(f"{command!r}: {found} messages for {expected}")
    table.add(row, system, Sample(took * 1000))


def search(system: System, options: Options, table: Table) -> None:
    filled = Filled.of(system, options.scaled(MESSAGES))
    count = filled.count
    for _ in range(2):  # what the last restart cut off is taken up again, and what was due meanwhile
        raw = login(system.target(), filled.account)
        raw.timed(b'SEARCH BODY "no such thing"')
        raw.close()
        settled(system)
    bodies, others = asked_of(count, 0, b"no such thing"), asked_of(count, 1, b"nothing like it")
    system.restart()
    raw = login(system.target(), filled.account)
    for when, asked in (("first after a restart", bodies), ("the next strings", others), ("again", bodies)):
        for what, word, expected in asked:
            command = b'SEARCH BODY "%b"' % word
            ask(raw, f"SEARCH BODY in {count:,}, {what}, {when}, ms", command, expected, system, table)
    senders = sum(number % 97 == 7 for number in range(count))
    for row, command, expected in (
        ("SEARCH UNSEEN", b"SEARCH UNSEEN", None),
        ("SEARCH FROM", b'SEARCH FROM "sender7@"', senders),
        ("SORT (DATE)", b"SORT (DATE) UTF-8 ALL", count),
        ("SORT (SUBJECT)", b"SORT (SUBJECT) UTF-8 ALL", count),
        ("THREAD REFERENCES", b"THREAD REFERENCES UTF-8 ALL", count),
    ):
        raw.timed(command)
        ask(raw, f"{row} in {count:,}, again, ms", command, expected, system, table)
    raw.close()


if __name__ == "__main__":
    main(search)
