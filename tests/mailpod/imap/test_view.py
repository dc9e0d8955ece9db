"""What a view keeps and shares: the invariants at the top of view.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from unittest.mock import Mock

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter

from mailpod.imap.sets import runs
from mailpod.imap.view import View


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(*[letter(str(n)) for n in range(10)])
        yield found


def view(at: Desk, *, read_only: bool = False) -> View:
    return View(at.account, at.account.mailbox("INBOX"), read_only)


async def test_sessions_share_the_mailboxs_array(at: Desk) -> None:
    views = [view(at) for _ in range(5)]
    await at.deliver(letter("new"))
    box = at.account.mailbox("INBOX")
    assert all(each.uids is box.uids and each.exists == 10 for each in views), "told of nothing yet"
    assert [b"".join(each.poll(True)) for each in views] == [b"* 11 EXISTS\r\n* 11 RECENT\r\n"] + [
        b"* 11 EXISTS\r\n* 0 RECENT\r\n"
    ] * 4
    await at.account.expunge(box, [3])
    assert [each.poll(True) for each in views] == [[b"* 3 EXPUNGE\r\n", b"* 10 RECENT\r\n"]] + [
        [b"* 3 EXPUNGE\r\n"]
    ] * 4
    assert all(each.uids is box.uids for each in views), "shared again"


async def test_only_what_is_held_back_takes_a_copy(at: Desk) -> None:
    one, box = view(at), at.account.mailbox("INBOX")
    await at.account.expunge(box, [1, 5])
    old = one.uids
    assert one.poll(False) == []
    assert one.uids is old
    await at.deliver(letter("new"))
    assert one.poll(False) == [b"* 11 EXISTS\r\n* 11 RECENT\r\n"]
    assert list(one.uids) == list(range(1, 12))
    assert one.poll(True) == [b"* 1 EXPUNGE\r\n* 4 EXPUNGE\r\n", b"* 9 RECENT\r\n"]
    assert one.uids is box.uids
    assert one.exists == 9


async def test_a_poll_without_changes_looks_at_nothing(at: Desk) -> None:
    one = view(at)
    one.mailbox.changes_since = Mock(side_effect=AssertionError)  # type: ignore[method-assign]
    assert one.poll(True) == []


async def test_a_message_that_came_and_went_unseen_is_not_told(at: Desk) -> None:
    one = view(at)
    await at.account.expunge(one.mailbox, await at.deliver(letter("brief")))
    assert one.poll(True) == []
    await at.deliver(letter("stays"))
    assert one.poll(True)[0].startswith(b"* 11 EXISTS\r\n")
    assert one.uid_of(11) == 12


async def test_flags_changed_before_a_message_is_told_are_not_told(at: Desk) -> None:
    one = view(at)
    uids = await at.deliver(letter("new"))
    await at.account.store_flags(one.mailbox, [2, *uids], "add", ["\\Seen"])
    assert one.poll(True) == [b"* 11 EXISTS\r\n* 11 RECENT\r\n", b"* 2 FETCH (FLAGS (\\Recent \\Seen))\r\n"]


async def test_examine_claims_nothing(at: Desk) -> None:
    assert view(at, read_only=True).recent == 10
    assert view(at).recent == 10
    assert view(at).recent == 0
    assert view(at, read_only=True).recent == 0


async def test_numbers(at: Desk) -> None:
    await at.account.expunge(at.account.mailbox("INBOX"), [4])
    one = view(at)
    assert [one.seq_of(uid) for uid in (1, 3, 4, 5, 10, 11)] == [1, 3, 0, 4, 9, 0]
    assert [one.uid_of(seq) for seq in (1, 4, 9)] == [1, 5, 10]
    for outside in (0, 10):
        with pytest.raises(IndexError):
            one.uid_of(outside)


def test_runs() -> None:
    assert runs([1, 2, 3, 7, 9, 10]) == [range(1, 4), range(7, 8), range(9, 11)]
    assert runs([]) == []
