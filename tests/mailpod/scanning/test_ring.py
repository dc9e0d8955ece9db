"""The memory that the scanner reads: nothing in it changes before it is released, and no room is lost."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.scanning.ring import WANTED, WITHDRAWN, Ring

SIZE = 64


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring(SIZE)
    yield made
    made.close()


def seen(ring: Ring) -> bytes:
    """As another process has it."""
    with mmap.mmap(ring.fd, ring.size, prot=mmap.PROT_READ) as memory:
        return memory[:]


def test_pieces_lie_one_after_the_other_behind_an_octet(ring: Ring) -> None:
    assert ring.put([b"one", b"", b"two"]) == 0
    assert seen(ring)[:7] == bytes([WANTED]) + b"onetwo"


def test_what_is_withdrawn_says_so_and_what_comes_there_next_does_not(ring: Ring) -> None:
    assert ring.put([b"one"]) == 0
    ring.withdraw(0)
    assert seen(ring)[:4] == bytes([WITHDRAWN]) + b"one"
    ring.release()
    assert ring.put([b"two"]) == 0
    assert seen(ring)[:4] == bytes([WANTED]) + b"two"


def test_what_is_too_large_never_has_room(ring: Ring) -> None:
    assert ring.put([b"x" * SIZE]) is None
    assert ring.put([b"x" * (SIZE - 1)]) == 0
    assert ring.put([]) is None
    ring.release()
    assert ring.put([b"x" * (SIZE - 1)]) == 0


def test_it_goes_on_at_the_beginning_when_that_is_free(ring: Ring) -> None:
    assert (ring.put([b"x" * 29]), ring.put([b"y" * 29])) == (0, 30)
    assert ring.put([b"z" * 9]) is None
    ring.release()
    assert (ring.put([b"z" * 9]), ring.put([b"z" * 19]), ring.put([])) == (0, 10, None)


@given(st.lists(st.none() | st.lists(st.binary(max_size=30), max_size=3), max_size=40))
def test_nothing_changes_before_it_is_released(acts: list[list[bytes] | None]) -> None:
    ring, held = Ring(SIZE), deque[tuple[int, bytes]]()
    try:
        for pieces in acts:
            if pieces is None:
                if held:
                    held.popleft()
                    ring.release()
                continue
            whole = bytes([WANTED]) + b"".join(pieces)
            start = ring.put(pieces)
            assert start is not None or held or len(whole) > SIZE
            if start is not None:
                held.append((start, whole))
            memory = seen(ring)
            assert all(memory[at : at + len(octets)] == octets for at, octets in held)
    finally:
        ring.close()
