"""What is worked on together: all of it, in order, and no more than may be."""

from __future__ import annotations

from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from mailpod.store.batches import batches


@given(st.lists(st.integers(0, 20)), st.integers(1, 30))
def test_all_in_order_and_as_much_as_fits(weights: list[int], most: int) -> None:
    parts = [weights[part] for part in batches(weights, most)]
    assert list(chain.from_iterable(parts)) == weights
    assert all(parts)
    assert all(len(part) == 1 or sum(part) <= most for part in parts)
    assert all(sum(part) + following[0] > most for part, following in pairwise(parts))
