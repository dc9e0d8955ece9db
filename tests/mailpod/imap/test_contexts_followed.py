"""A client that only follows the updates of its searches has what a search finds (RFC 5267)."""

from __future__ import annotations

import random
import re
from typing import Literal

import pytest
from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.following import deliver, filled

MODES: list[Literal["add", "remove"]] = ["add", "remove"]
_PAIR = re.compile(rb"(\d+) ([0-9:,]+)")


def _expanded(numbers: bytes) -> list[int]:
    out: list[int] = []
    for part in numbers.split(b","):
        first, _, last = part.partition(b":")
        out += range(int(first), int(last or first) + 1)
    return out


def apply(line: bytes, results: list[int]) -> None:
    """As a client does (RFC 5267 §4.3.3, §4.3.4), in the order in which they appear."""
    for name, pairs in re.findall(rb"(ADDTO|REMOVEFROM) \(([^)]*)\)", line):
        for place, numbers in ((int(place), _expanded(found)) for place, found in _PAIR.findall(pairs)):
            if name == b"REMOVEFROM" and place:
                assert results[place - 1 : place - 1 + len(numbers)] == numbers
                del results[place - 1 : place - 1 + len(numbers)]
            elif name == b"REMOVEFROM":
                assert set(numbers) <= set(results)
                results[:] = [number for number in results if number not in numbers]
            elif place:
                assert place <= len(results) + 1
                results[place - 1 : place - 1] = numbers
            else:
                assert not set(numbers) & set(results)
                results[:] = sorted((*results, *numbers))


def follow(lines: list[bytes], results: dict[bytes, list[int]], numbered: set[bytes]) -> None:
    """As a client does: after an EXPUNGE the message numbers in its results are others (RFC 5267 §4.3.4)."""
    for line in lines:
        told = re.match(rb'\* ESEARCH \(TAG "(\w+)"\)(?: UID)? (?:ADDTO|REMOVEFROM)', line)
        gone = re.fullmatch(rb"\* (\d+) EXPUNGE", line)
        if told:
            apply(line, results[told[1]])
        if gone:
            for tag in numbered:
                assert int(gone[1]) not in results[tag]
                results[tag] = [number - (number > int(gone[1])) for number in results[tag]]


@pytest.mark.parametrize("seed", range(3))
async def test_a_client_that_only_follows_has_what_a_search_finds(world: World, seed: int) -> None:
    rng = random.Random(seed)
    client, account = await filled(world, *(rng.choice("abc") for _ in range(20)))
    programs = {
        b"s1": b"UID SEARCH RETURN (%b) UNSEEN",
        b"s2": b"UID SEARCH RETURN (%b) OR SUBJECT a KEYWORD x",
        b"s3": b"UID SORT RETURN (%b) (SUBJECT REVERSE DATE) UTF-8 UNSEEN NOT KEYWORD x",
        b"s4": b"UID SORT RETURN (%b) (REVERSE SUBJECT) UTF-8 NOT (SUBJECT b SEEN)",
        b"n1": b"SEARCH RETURN (%b) UNSEEN",
        b"n2": b"SORT RETURN (%b) (SUBJECT) UTF-8 NOT KEYWORD x",
    }
    numbered = {b"n1", b"n2"}
    results: dict[bytes, list[int]] = {}
    for tag, command in programs.items():
        line, *_ = await client.ask(command % b"UPDATE ALL", tag)
        results[tag] = _expanded(line.split(b"ALL ")[1])
    box = account.mailbox("INBOX")
    for _ in range(25):
        uids = rng.sample(list(box.uids), min(rng.choice([1, 1, 2, 6]), box.exists))
        match rng.choice("fffedd"):
            case "f":
                await account.store_flags(box, uids, rng.choice(MODES), [rng.choice(["\\Seen", "x"])])
            case "e":
                await account.expunge(box, uids)
            case "d":
                await deliver(account, *(rng.choice("abcd") for _ in range(rng.choice([1, 2, 20]))))
        lines = await client.ok(rng.choice([b"NOOP", b"UID FETCH 1:* FLAGS", b"SEARCH ALL", b"FETCH 1 UID"]))
        follow(lines, results, numbered)
    follow(await client.ok(b"NOOP"), results, numbered)
    for tag, command in programs.items():
        line, *_ = await client.ask(command % b"ALL", b"z")
        assert (_expanded(line.split(b"ALL ")[1]) if b"ALL" in line else []) == results[tag], tag
