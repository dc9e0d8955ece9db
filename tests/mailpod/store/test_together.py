"""Many messages that are appended together are as those that are appended each for itself, found out later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.store.faults import Faulty, World, mail, make_world

from mailpod.checksum import checksum
from mailpod.errors import Damaged, LimitReached, OverQuota, Unavailable
from mailpod.mime import scan as scanning
from mailpod.store import Account, NewMessage, unscanned
from mailpod.store.check.account import check_account
from mailpod.store.draft import Limits
from mailpod.store.mailbox import Mailbox
from mailpod.store.memory import MemoryObjects
from mailpod.store.names import log_key
from mailpod.store.ops import Append, Appends, Header, decode_header
from mailpod.store.page import Page, decode_meta, encode_meta
from mailpod.store.state import Inconsistent, State

MANY = 20
TEXTS = ("envelopes", "structures", "fields", "names", "parts", "header_sizes")
OTHERS = ("uids", "dates", "zones", "saved", "sizes")


def letter(number: int) -> bytes:
    """Of two parts."""
    return (
        b"From: a%d@x.test\r\nSubject: letter %d\r\nX-Other: y\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext %d\r\n--b\r\n\r\nmore\r\n--b--\r\n"
    ) % (number, number, number)


LETTERS = [
    NewMessage(
        letter(number),
        frozenset(["\\Seen", "work"][: number % 3]),
        1_600_000_000 + number if number % 2 else None,
        number,
    )
    for number in range(MANY)
]


class Scans:
    """How many messages were looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = scanning.scan

        def scan(data: bytes) -> scanning.Scan:
            self.count += 1
            return real(data)

        monkeypatch.setattr(unscanned, "scan", scan)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Scans:
    return Scans(monkeypatch)


@pytest.fixture
async def world() -> World:
    return await make_world(checkpoint_commits=1 << 20, checkpoint_header_bytes=1 << 40)


async def rows_of(box: Mailbox, names: Sequence[str] = TEXTS, **how: Any) -> dict[int, tuple[Any, ...]]:
    """By UID."""
    return {
        page.uids[row]: tuple(getattr(page, name)[row] for name in names)
        async for page, rows in box.pages(box.uids, **how)
        for row in rows
    }


async def bodies_of(account: Account, box: Mailbox) -> list[bytes]:
    places = [page.location(row) async for page, rows in box.pages(box.uids, scanned=False) for row in rows]
    return [await account.body(place) for place in places]


async def header(world: World, sequence: int) -> Header:
    return decode_header((await world.objects.get(log_key(world.ref.prefix, sequence))).partition(b"\n")[0])


async def test_they_are_as_those_that_came_each_for_itself(world: World) -> None:
    account = await world.pod().open(world.ref)
    for name in ("A", "B"):
        await account.create(name)
    first = await account.append("A", LETTERS)
    second = await account.append("B", LETTERS, later=True)
    assert first.uids == second.uids == list(range(1, MANY + 1))
    assert [type(op) for op in (await header(world, account.head)).ops] == [Appends]
    one, other = account.mailbox("A"), account.mailbox("B")
    for box in (other, (await world.pod().open(world.ref)).mailbox("B")):  # also who reads the log
        assert await rows_of(box, OTHERS) == await rows_of(one, OTHERS)
        assert await rows_of(box) == await rows_of(one)
        assert [box.flag_sets[flags] for flags in box.flags] == [one.flag_sets[flags] for flags in one.flags]
        assert (box.bytes, box.unseen, box.uidnext) == (one.bytes, one.unseen, one.uidnext)
        assert len({email for (email,) in (await rows_of(box, ["email_ids"])).values()}) == MANY
        assert await bodies_of(account, box) == [letter(number) for number in range(MANY)]


async def test_what_is_the_same_of_all_is_said_once(world: World) -> None:
    account = await world.pod().open(world.ref)
    await account.append("INBOX", [NewMessage(letter(number)) for number in range(MANY)], later=True)
    [op] = (await header(world, 2)).ops
    assert isinstance(op, Appends)
    assert (len(op.dates), op.zones, op.flags) == (1, (), ((),))


LARGE = [NewMessage(mail(number, 450_000)) for number in range(MANY)]
DELIVERIES = [msgspec.structs.replace(each, delivery_id=str(number)) for number, each in enumerate(LETTERS)]


@pytest.mark.parametrize(
    "messages",
    [LETTERS[:15], [*LETTERS, NewMessage(mail(0, 3 << 20))], LARGE, DELIVERIES],
    ids=["few", "with a large one", "more than a commit", "deliveries"],
)
async def test_others_come_each_for_itself(world: World, messages: list[NewMessage]) -> None:
    account = await world.pod().open(world.ref)
    await account.append("INBOX", messages, later=True)
    assert {type(op) for op in (await header(world, 2)).ops} == {Append}


async def test_nobody_looks_at_them_before_somebody_asks_and_then_at_those_only(world: World, scans: Scans) -> None:
    account = await world.pod().open(world.ref)
    await account.append("INBOX", LETTERS, later=True)
    box = account.mailbox("INBOX")
    assert len(await rows_of(box, OTHERS, scanned=False)) == MANY
    assert await bodies_of(account, box) == [letter(number) for number in range(MANY)]
    assert scans.count == 0
    found = [page.envelopes[row] async for page, rows in box.pages([3, 5]) for row in rows]
    assert [b"letter 2" in found[0], b"letter 4" in found[1], scans.count] == [True, True, 2]
    await rows_of(box)
    await rows_of(box)
    assert scans.count == MANY


async def test_a_checkpoint_has_all_of_them(world: World, scans: Scans) -> None:
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", LETTERS, later=True)
    await rows_of(account.mailbox("INBOX"))
    expected = await rows_of(account.mailbox("INBOX"))
    await account.append("INBOX", LETTERS, later=True)
    assert await store.checkpoint(account)
    assert scans.count == 2 * MANY
    box = (await world.pod().open(world.ref)).mailbox("INBOX")
    found = await rows_of(box)
    assert [found[uid] for uid in range(1, MANY + 1)] == [found[uid + MANY] for uid in range(1, MANY + 1)]
    assert {uid: found[uid] for uid in expected} == expected
    assert scans.count == 2 * MANY


async def test_a_checkpoint_is_due_as_if_they_had_been_looked_at() -> None:
    world = await make_world(checkpoint_commits=1 << 20, checkpoint_header_bytes=600 * MANY)
    account = await world.pod().open(world.ref)
    assert not account.log.checkpoint_due()
    await account.append("INBOX", LETTERS, later=True)
    assert account.log.checkpoint_due()
    account.log.note_checkpoint()
    assert not account.log.checkpoint_due()


async def damaged(world: World, sequence: int, number: int) -> bytes:
    """One octet of a letter is changed in its commit; returns what was there."""
    key = log_key(world.ref.prefix, sequence)
    whole = await world.objects.get(key)
    assert isinstance(world.objects, MemoryObjects)
    await world.objects.delete([key])
    await world.objects.create(key, [whole.replace(b"text %d\r" % number, b"text %d\n" % number)])
    return whole


async def test_one_that_cannot_be_read_is_damaged_and_the_others_are_not(world: World) -> None:
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", LETTERS, later=True)
    whole = await damaged(world, 2, 4)
    for checkpointed in (False, True):
        if checkpointed:
            assert await store.checkpoint(account)
        for one in (account, await world.pod().open(world.ref)):
            box, lost = one.mailbox("INBOX"), list[int]()
            assert len(await rows_of(box, damaged=lost)) == MANY - 1
            assert lost == [5]
            assert len(await rows_of(box, OTHERS, scanned=False)) == MANY
            with pytest.raises(Damaged):
                await rows_of(box)
    key = log_key(world.ref.prefix, 2)
    await world.objects.delete([key])
    await world.objects.create(key, [whole])  # repaired
    box = (await world.pod().open(world.ref)).mailbox("INBOX")
    assert b"letter 4" in (await rows_of(box))[5][0]


async def test_where_the_bucket_does_not_answer_it_is_unavailable_and_no_checkpoint_is_made() -> None:
    objects = Faulty(MemoryObjects())
    world = await make_world(objects, checkpoint_commits=1 << 20, checkpoint_header_bytes=1 << 40)
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", LETTERS, later=True)
    objects.down = True
    with pytest.raises(Unavailable):
        await rows_of(account.mailbox("INBOX"))
    objects.down = False
    assert len(await rows_of(account.mailbox("INBOX"))) == MANY


async def test_they_are_copied_moved_and_expunged_before_anybody_looked(world: World) -> None:
    store = world.pod()
    account = await store.open(world.ref)
    for name in ("Copies", "Moved"):
        await account.create(name)
    await account.append("INBOX", LETTERS, later=True)
    box = account.mailbox("INBOX")
    await account.expunge(box, [1])
    await account.copy(box, [2, 3], "Copies")
    await account.move(box, [3, 4], "Moved")
    await account.rename("INBOX", "Old")
    assert await store.checkpoint(account)
    for one in (account, await world.pod().open(world.ref)):
        subjects = {
            name: [row[0].split(b'"')[1] for row in (await rows_of(one.mailbox(name))).values()]
            for name in ("Copies", "Moved", "Old")
        }
        old = [b"letter 1", *(b"letter %d" % number for number in range(4, MANY))]
        assert subjects == {"Copies": [b"letter 1", b"letter 2"], "Moved": [b"letter 2", b"letter 3"], "Old": old}
        emails = [list((await rows_of(one.mailbox(name), ["email_ids"])).values()) for name in ("Copies", "Old")]
        assert emails[0][0] == emails[1][0]  # RFC 8474 §5.1: of a copy it is the same


async def test_their_bytes_are_moved_before_anybody_looked() -> None:
    world = await make_world(pack_newest=0, checkpoint_commits=1 << 20, checkpoint_header_bytes=1 << 40)
    store = world.pod()
    account, other = await store.open(world.ref), await world.pod().open(world.ref)
    await account.append("INBOX", LETTERS, later=True)
    assert await store.pack(account, force=True) == MANY
    await other.refresh()
    await world.objects.delete([log_key(world.ref.prefix, 2)])  # as a collection will
    for one in (account, other):
        found = await rows_of(one.mailbox("INBOX"))
        assert [b"letter %d" % number in found[number + 1][0] for number in range(MANY)] == [True] * MANY


@pytest.mark.parametrize(
    ("limits", "error"), [(Limits(messages=MANY - 1), OverQuota), (Limits(bytes=1000), OverQuota), (None, LimitReached)]
)
async def test_what_is_refused_adds_nothing(limits: Limits | None, error: type[Exception]) -> None:
    world = await make_world(keywords=2)
    account = await world.pod().open(world.ref)
    keywords = (
        [frozenset([f"k{number}"]) for number in range(MANY)] if error is LimitReached else [frozenset[str]()] * MANY
    )
    messages = [msgspec.structs.replace(each, flags=flags) for each, flags in zip(LETTERS, keywords, strict=True)]
    with pytest.raises(error):
        await account.append("INBOX", messages, limits=limits, later=True)
    assert (account.head, account.mailbox("INBOX").exists) == (1, 0)


async def test_who_comes_second_gets_the_next_uids(world: World) -> None:
    account, other = [await world.pod().open(world.ref) for _ in range(2)]
    await other.append("INBOX", LETTERS[:1])
    added = await account.append("INBOX", LETTERS, later=True)
    assert added.uids == list(range(2, MANY + 2))
    assert len(await rows_of(account.mailbox("INBOX"))) == MANY + 1


async def test_bytes_that_lost_a_race_go_into_a_pack_once() -> None:
    """STORE.md rule 5."""
    world = await make_world(repost_bytes=1000, together_messages=2)
    objects: Any = Faulty(world.objects)
    account, other = [await world.pod(bucket).open(world.ref) for bucket in (objects, None)]

    async def comes_first() -> None:
        await other.append("INBOX", [NewMessage(mail(1))])

    objects.script.extend([comes_first, comes_first])
    messages = [NewMessage(mail(number, 5000)) for number in range(3)]
    added = await account.append("INBOX", messages, later=True)
    assert added.uids == [3, 4, 5]
    sizes = {kind: [len(data) for key, data in objects.creates if f"/{kind}/" in key] for kind in ("log", "pack")}
    assert (len(sizes["pack"]), sizes["log"][-1] < 1000) == (1, True)
    for one in (account, await world.pod().open(world.ref)):
        box = one.mailbox("INBOX")
        assert [b"message %d" % number in (await rows_of(box))[number + 3][0] for number in range(3)] == [True] * 3
        assert (await bodies_of(one, box))[2:] == [message.data for message in messages]
    [home] = {account.log.state.homes.key(home) for home in box.homes[2:]}
    assert home.startswith("pack/")
    assert list((await check_account(world.objects, world.ref.prefix, "alice@x.test")).findings) == []


async def test_one_that_is_gone_is_passed_over(world: World) -> None:
    """Expunged by another session, and collected, before anybody looked at it."""
    account, other = [await world.pod().open(world.ref) for _ in range(2)]
    await account.append("INBOX", LETTERS, later=True)
    await other.refresh()
    old = other.mailbox("INBOX").uids[:]
    segments = list(other.mailbox("INBOX").segments)
    await account.expunge(account.mailbox("INBOX"), list(old))
    await world.objects.delete([log_key(world.ref.prefix, 2)])
    await other.refresh()
    assert other.mailbox("INBOX").segments == segments
    assert [rows async for _, rows in other.mailbox("INBOX").pages(old)] == []


async def test_an_answer_that_is_lost() -> None:
    objects = Faulty(MemoryObjects())
    world = await make_world(objects)
    account = await world.pod().open(world.ref)
    objects.script.append("lost")
    added = await account.append("INBOX", LETTERS, later=True)
    assert added.uids == list(range(1, MANY + 1))
    assert account.mailbox("INBOX").exists == MANY


@pytest.mark.parametrize(
    "wrong",
    [
        {"sums": "00" * 15},
        {"dates": (1, 2)},
        {"zones": (0, 0)},
        {"zones": (60,)},
        {"flags": ((), ())},
        {"flags": ()},
        {"dates": ()},
        {"sizes": (), "sums": ""},
        {"uid": 0},
        {"box": 9},
    ],
    ids=str,
)
async def test_an_operation_that_does_not_say_all_of_each_is_not_applied(world: World, wrong: dict[str, Any]) -> None:
    account = await world.pod().open(world.ref)
    await account.append("INBOX", LETTERS, later=True)
    headers = [await header(world, sequence) for sequence in (1, 2)]
    state = State()
    state.apply(headers[0], 0)
    [op] = headers[1].ops
    with pytest.raises(Inconsistent):
        state.apply(msgspec.structs.replace(headers[1], ops=(msgspec.structs.replace(op, **wrong),)), 0)


async def test_fsck_finds_nothing_and_reads_what_nobody_looked_at(world: World) -> None:
    account = await world.pod().open(world.ref)
    await account.append("INBOX", LETTERS, later=True)
    report = await check_account(world.objects, world.ref.prefix, "alice@x.test")
    assert list(report.findings) == []
    await damaged(world, 2, 7)
    report = await check_account(world.objects, world.ref.prefix, "alice@x.test")
    assert [(item.kind, "UID 8 " in item.effect) for item in report.findings] == [("bytes-damaged", True)]


def unscanned_page(bodies: Sequence[bytes]) -> Page:
    page = Page()
    sums = b"".join(map(checksum, bodies)).hex()
    op = Appends(1, 1, 0, tuple(map(len, bodies)), sums, 5, (7,))
    page.extend_unscanned(op, "log/1", 100, [b"M%d" % row for row in range(len(bodies))])
    return page


def columns(page: Page) -> list[Any]:
    return [[*getattr(page, name)] for name in (*TEXTS, *OTHERS)] + [[page.location(row) for row in range(len(page))]]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), st.data())
def test_a_page_is_the_same_whenever_its_messages_were_looked_at(bodies: list[bytes], data: st.DataObject) -> None:
    expected = unscanned_page(bodies)
    for row, body in enumerate(bodies):
        expected.scanned(row, scanning.scan(body))
    page = unscanned_page(bodies)
    for row in data.draw(st.permutations(range(len(bodies)))):
        how = data.draw(st.sampled_from(["here", "written", "whole", "taken", "shifted"]))
        if how in ("written", "whole"):
            octets = encode_meta(page)
            page = decode_meta(octets, checksum(octets), whole=how == "whole")
        elif how == "taken":
            twin = Page()
            twin.take(page, range(len(page)))
            page = twin
        elif how == "shifted":
            page.shifted(3).scanned(row, scanning.scan(bodies[row]))
            assert row in page.unscanned
        page.scanned(row, scanning.scan(bodies[row]))
    assert not page.unscanned
    assert columns(page) == columns(expected)
    assert encode_meta(page) == encode_meta(expected)


def test_what_was_made_of_a_page_is_made_again_once_more_is_known() -> None:
    page = unscanned_page([b"Subject: a\r\n\r\n", b"Subject: b\r\n\r\n"])
    page.scanned(0, scanning.scan(b"Subject: a\r\n\r\n"))
    page.derived["made"] = [b"of both"]
    page.scanned(1, scanning.scan(b"Subject: b\r\n\r\n"))
    assert page.derived == {}
