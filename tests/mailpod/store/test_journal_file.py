"""A journal's file after crashes: what was acknowledged is there, what was half written is not."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.store.journal_file import STRETCH, JournalFile, new
from mailpod.store.objects import StorageError

_names = itertools.count()
SALT = b"0123456789abcdef"


def made(folder: Path, octets: bytes | None = None) -> Path:
    path = folder / f"journal-{next(_names)}"
    path.write_bytes(b"".join(new(SALT)) if octets is None else octets)
    return path


def opened(path: Path) -> JournalFile:
    journal = JournalFile(os.open(path, os.O_RDWR))
    journal.refresh()
    return journal


def write(journal: JournalFile, sequence: int, data: bytes) -> None:
    journal.reserve(len(data))
    journal.append(sequence, [data[:3], data[3:]], len(data), 1_700_000_000_000_000_000 + sequence)


def contents(journal: JournalFile) -> dict[int, bytes]:
    return {sequence: journal.read(found, 0, found.length) for sequence, found in journal.records.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journals")


bodies = st.lists(st.binary(max_size=300), max_size=6)


@given(bodies)
def test_another_finds_what_was_written(folder: Path, data: list[bytes]) -> None:
    path = made(folder)
    first, second = opened(path), opened(path)
    for sequence, each in enumerate(data, 1):
        write(first, sequence, each)
        if sequence % 2:
            second.refresh()
    second.refresh()
    expected = dict(enumerate(data, 1))
    assert contents(first) == contents(second) == contents(opened(path)) == expected
    assert [found.time % 1000 for found in second.records.values()] == [*expected]
    path.unlink()


@given(bodies, st.binary(min_size=1, max_size=300), st.data())
def test_a_record_that_was_cut_is_none_and_is_written_over(
    folder: Path, data: list[bytes], last: bytes, draw: st.DataObject
) -> None:
    path = made(folder)
    journal = opened(path)
    for sequence, each in enumerate(data, 1):
        write(journal, sequence, each)
    before, end = path.read_bytes(), journal.end
    write(journal, len(data) + 1, last)
    after = bytearray(path.read_bytes())
    after[end + 4] = 0  # it was not sealed yet
    lost = draw.draw(st.integers(end, journal.end - 1))  # from here on the disk has what was there before
    torn = made(folder, bytes(after[:lost]) + before[lost:])
    again = opened(torn)
    expected = dict(enumerate(data, 1))
    if torn.read_bytes() == bytes(after):
        expected[len(data) + 1] = last  # what was lost were zeros anyway
    assert contents(again) == expected
    write(again, 9, b"new")
    assert contents(opened(torn)) == expected | {9: b"new"}
    for each in (path, torn):
        each.unlink()


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=2, max_size=6), st.data())
def test_damage_hides_at_most_the_record_that_has_it(folder: Path, data: list[bytes], draw: st.DataObject) -> None:
    path = made(folder)
    journal = opened(path)
    starts = []
    for sequence, each in enumerate(data, 1):
        starts.append(journal.end)
        write(journal, sequence, each)
    octets = bytearray(path.read_bytes())
    place = draw.draw(st.integers(starts[0], starts[-1] - 1))
    octets[place] ^= draw.draw(st.integers(1, 255))
    hit = max(number for number, start in enumerate(starts, 1) if start <= place)
    found = contents(opened(made(folder, bytes(octets))))
    expected = dict(enumerate(data, 1))
    assert {number: each for number, each in found.items() if number != hit} == {
        number: each for number, each in expected.items() if number != hit
    }


def test_damage_of_a_sealed_record_is_for_others_to_find(folder: Path) -> None:
    path = made(folder)
    journal = opened(path)
    write(journal, 1, b"the only one")
    octets = path.read_bytes()
    assert contents(opened(made(folder, octets.replace(b"only", b"0nly")))) == {1: b"the 0nly one"}


def test_what_looks_like_a_record_in_a_message_is_none(folder: Path) -> None:
    path, other = made(folder), made(folder, b"".join(new(b"another's salt..")))
    forged = opened(other)
    write(forged, 7, b"forged")
    journal = opened(path)
    write(journal, 1, b"before")
    octets = bytearray(path.read_bytes())
    octets[journal.end : journal.end + 200] = b"\1" + other.read_bytes()[:199]  # what a torn write may leave
    assert contents(opened(made(folder, bytes(octets)))) == {1: b"before"}


def test_nothing_is_found_behind_the_end(folder: Path) -> None:
    path = made(folder)
    journal = opened(path)
    write(journal, 1, b"x")
    journal.finish()
    journal.finish()
    other = opened(path)
    assert other.ended
    assert contents(other) == {1: b"x"}


def test_more_than_a_stretch(folder: Path) -> None:
    path = made(folder)
    journal = opened(path)
    for sequence in range(1, 40):
        write(journal, sequence, b"%d" % sequence * 10_000)
    assert len(path.read_bytes()) % STRETCH == 0
    assert contents(opened(path)) == {sequence: b"%d" % sequence * 10_000 for sequence in range(1, 40)}


@pytest.mark.parametrize("octets", [b"", b"mailpod journal\n", b"\0" * 4096, b"no journal" * 10])
def test_what_is_no_journal(folder: Path, octets: bytes) -> None:
    with pytest.raises(StorageError, match="damaged journal"):
        opened(made(folder, octets))
