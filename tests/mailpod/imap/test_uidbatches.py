"""UIDBATCHES: RFC 10022."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World

from mailpod.store import NewMessage


@pytest.fixture
async def client(make: MakeWorld) -> Client:
    """The messages that are left have the UIDs 3, 4, 6, 7, 9, 10, 12."""
    world = await make(imap={"uid_batch_messages": 2})
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x")] * 12)
    await account.expunge(account.mailbox("INBOX"), [1, 2, 5, 8, 11])
    return await world.login(select="INBOX")


@pytest.mark.parametrize(
    ("asked", "ranges"),
    [
        (b"2", b" 12:10,9:7,6:4,3:1"),
        (b"3", b" 12:8,7:4,3:1"),
        (b"7", b" 12:1"),
        (b"4294967295", b" 12:1"),
        (b"2 1:1", b" 12:10"),
        (b"2 2:3", b" 9:7,6:4"),
        (b"2 4:99", b" 3:1"),
        (b"2 5:9", b""),
    ],
)
async def test_batches(client: Client, asked: bytes, ranges: bytes) -> None:
    assert await client.ok(b"UIDBATCHES " + asked) == [b'* UIDBATCHES (TAG "a")' + ranges]


async def test_every_message_is_in_one_batch(client: Client) -> None:
    for size in (2, 3, 5):
        [answer] = await client.ok(b"UIDBATCHES %d" % size)
        found, below = [], 13
        for pair in answer.split()[-1].split(b","):
            high, low = map(int, pair.split(b":"))
            assert low <= high < below
            below = low
            found.append((await client.ok(b"UID SEARCH UID " + pair))[0].split()[2:])
        assert [len(batch) for batch in found[:-1]] == [size] * (len(found) - 1)
        assert 0 < len(found[-1]) <= size
        assert {uid for batch in found for uid in batch} == {b"3", b"4", b"6", b"7", b"9", b"10", b"12"}


async def test_with_uidonly(client: Client) -> None:
    """UIDs are all that it speaks of."""
    await client.ok(b"UNSELECT")
    await client.ok(b"ENABLE UIDONLY")
    await client.ok(b"SELECT INBOX")
    assert await client.ok(b"UIDBATCHES 4") == [b'* UIDBATCHES (TAG "a") 12:7,6:1']


async def test_the_saved_search_stays(client: Client) -> None:
    await client.ok(b"UID SEARCH RETURN (SAVE) UID 4,6")
    await client.ok(b"UIDBATCHES 2")
    assert await client.ok(b"UID SEARCH $") == [b"* SEARCH 4 6"]


async def test_refusals(client: Client, world: World) -> None:
    assert await client.refused(b"UIDBATCHES 1") == b"a NO [TOOFEW] Minimum batch size is 2"
    assert (await client.refused(b"UIDBATCHES 2 3:2")).startswith(b"a BAD [CLIENTBUG] ")
    for words in (b"", b" x", b" 0", b" 2 1", b" 2 0:1", b" 2 1:*", b" 2 1:2 3", b" -2"):
        assert (await client.refused(b"UIDBATCHES" + words)).startswith(b"a BAD "), words
    await client.ok(b"SELECT Sent")
    assert await client.ok(b"UIDBATCHES 2") == [b'* UIDBATCHES (TAG "a")']
    await client.ok(b"UNSELECT")
    assert (await client.refused(b"UIDBATCHES 2")).startswith(b"a BAD ")
    other = await world.login(select="INBOX")
    for words in (b"1", b"1 100:100", b"499"):  # RFC 10022 §3.1.3.2
        assert await other.refused(b"UIDBATCHES " + words) == b"a NO [TOOFEW] Minimum batch size is 500"
    assert await other.ok(b"UIDBATCHES 500 100:100") == [b'* UIDBATCHES (TAG "a")']  # §3.1.6
