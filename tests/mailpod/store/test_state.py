"""What a commit of several messages makes of an account's state."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mailpod.store.mailbox import Mailbox
from mailpod.store.ops import Append, Create, Header, Open, Operation, Record, Subscribe
from mailpod.store.state import Inconsistent, State

PACK = f"pack/{'a' * 24}"


def state_of(*commits: Sequence[Operation]) -> State:
    state, before = State(), ""
    first = (Open("example.org", "alice", "1", 0), Create(1, "INBOX", 5), Create(2, "Other", 6))
    for seq, ops in enumerate((first, *commits), 1):
        state.apply(Header(1, f"c{seq}", before, seq, 86400 * 9, "pod", ops=tuple(ops)), header_bytes=1000)
        before = f"c{seq}"
    return state


def record(number: int, key: str = "") -> Record:
    return Record(
        number, number, 10 + number, (key, 7 * number, 10 + number), f"{number:032x}", 3, f"(e{number})", "()"
    )


def columns(box: Mailbox) -> list[object]:
    """All but EMAILIDs, which number the operations."""
    pages = [segment.page for segment in box.segments if segment.page is not None]
    rows = [(page, row) for page in pages for row in range(len(page))]
    kept = [(replace(page.record(row, saved=9), eid=""), page.location(row)) for page, row in rows]
    flags = (list(box.flags), box.flag_sets, box.keywords)
    return [list(box.uids), flags, list(box.sizes), list(box.homes), box.bytes, box.unseen, box.uidnext, kept]


appends = st.lists(
    st.tuples(
        st.sampled_from([1, 2]),
        st.integers(0, 2),
        st.sampled_from(["", PACK]),
        st.sampled_from([(), ("\\Seen",), ("k", "\\seen"), ("K",)]),
    ),
    max_size=8,
)


@given(appends)
def test_messages_at_once_are_as_one_after_the_other(given: list[tuple[int, int, str, tuple[str, ...]]]) -> None:
    uids = {1: 0, 2: 0}
    ops: list[Operation] = []
    for number, (box, gap, key, flags) in enumerate(given):
        uids[box] += 1 + gap
        ops.append(Append(box, uids[box], record(number, key), flags, did=f"{number:032x}"))
    together = state_of(ops)
    apart: list[Operation] = [each for op in ops for each in (op, Subscribe("x"))]  # no two appends in a row
    alone = state_of(apart)
    assert list(map(columns, together.boxes.values())) == list(map(columns, alone.boxes.values()))
    assert together.deliveries == alone.deliveries
    assert list(together.homes.held()) == list(alone.homes.held())


def test_an_email_id_has_the_number_of_its_operation() -> None:
    ops = [Append(1, 1, record(0)), Append(1, 2, record(1)), Append(2, 1, record(2)), Append(1, 3, record(3))]
    state = state_of(ops)
    pages = [segment.page for box in state.boxes.values() for segment in box.segments]
    assert [page.email_ids for page in pages if page] == [[b"Mc2-0", b"Mc2-1", b"Mc2-3"], [b"Mc2-2"]]


def test_bytes_are_in_the_commit_behind_its_line_or_where_it_says() -> None:
    state = state_of([Append(1, 1, record(1)), Append(1, 2, record(2, PACK))])
    page = state.names["INBOX"].segments[0].page
    assert page is not None
    assert [(page.key(row), page.location(row).offset) for row in (0, 1)] == [(f"log/{2:020d}", 1007), (PACK, 14)]


@pytest.mark.parametrize("uids", [[3, 3], [3, 2], [1, 2]])
def test_a_uid_is_used_once_and_they_ascend(uids: list[int]) -> None:
    with pytest.raises(Inconsistent):
        state_of([Append(1, 1, record(0))], [Append(1, uid, record(uid)) for uid in uids])
