"""MULTIAPPEND (RFC 3502) of so many that their structure is read after the answer: no client can tell."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, end_world, other_pod, user

from mailpod.store import Account
from mailpod.store.names import log_key
from mailpod.store.ops import Append, Appends, Operation, decode_header

MANY = 20


def letter(number: int) -> bytes:
    return (
        b"From: a%d@x.test\r\nTo: b@x.test\r\nSubject: letter %d\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nword%d\r\n--b\r\n\r\nmore\r\n--b--\r\n"
    ) % (number, number, number)


async def append(client: Client, count: int = MANY, mailbox: bytes = b"INBOX") -> list[bytes]:
    messages = (b" (\\Seen) {%d+}\r\n%b" % (len(letter(number)), letter(number)) for number in range(count))
    return await client.ask(b"APPEND %b%b" % (mailbox, b"".join(messages)))


async def newest(world: World, account: Account) -> tuple[Operation, ...]:
    """What the newest commit does."""
    await account.refresh()
    return decode_header((await world.objects.get(log_key(account.prefix, account.head))).partition(b"\n")[0]).ops


async def fetched(client: Client, items: bytes) -> list[bytes]:
    return [line for line in await client.ok(b"FETCH 1:* %b" % items) if b" FETCH (" in line]


async def test_all_commands_see_what_is_in_them(world: World) -> None:
    ann = await world.login(select="INBOX")
    answer = await append(ann)
    assert re.search(rb"a OK \[APPENDUID \d+ 1:20\] Stored", b"\n".join(answer))
    account = await world.account()
    assert list(map(type, await newest(world, account))) == [Appends]
    there = await other_pod(world)
    for client in (await there.login(select="INBOX"), ann):
        assert b"* SEARCH 8" in await client.ok(b"SEARCH SUBJECT letter FROM a7@")
        assert b"* SEARCH 14" in await client.ok(b"SEARCH BODY word13")
        assert b"* SORT 3 2 1" in await client.ok(b"SORT (REVERSE SUBJECT) UTF-8 1:3")
        assert b"".join(await client.ok(b"THREAD REFERENCES UTF-8 ALL")).count(b"(") == MANY
        envelopes = await fetched(client, b"(ENVELOPE BODYSTRUCTURE)")
        assert [b'"letter %d"' % number in line for number, line in enumerate(envelopes)] == [True] * MANY
        assert all(b'"mixed"' in line.lower() for line in envelopes)
        assert b"word4" in b"".join(await client.ok(b"FETCH 5 BODY.PEEK[1]"))
        assert b"From: a4@x.test" in b"".join(await client.ok(b"FETCH 5 BODY.PEEK[HEADER.FIELDS (FROM)]"))
        flags = await fetched(client, b"(UID FLAGS RFC822.SIZE)")
        assert [b"RFC822.SIZE %d" % len(letter(number)) in line for number, line in enumerate(flags)] == [True] * MANY
    await end_world(there)


async def test_what_needs_no_structure_reads_none(world: World) -> None:
    ann = await world.login(select="INBOX")
    await append(ann)
    account = await world.account()
    [segment] = account.mailbox("INBOX").segments
    assert segment.page is not None
    for items in (b"(UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ)", b"BODY.PEEK[]", b"(SAVEDATE EMAILID RFC822)"):
        await ann.ok(b"FETCH 1:* %b" % items)
        assert len(segment.page.unscanned) == MANY
    for key, found in (
        (b"LARGER 140", range(1, MANY + 1)),
        (b"SMALLER 140", ()),
        (b"ON 17-Nov-2023", ()),
        (b"SAVEDSINCE 1-Jan-2001 YOUNGER 86400", range(1, MANY + 1)),
        (b"EMAILID nobody", ()),
    ):
        expected = b" ".join([b"* SEARCH", *(b"%d" % number for number in found)])
        assert expected in await ann.ok(b"SEARCH " + key), key
        assert len(segment.page.unscanned) == MANY
    await ann.ok(b"FETCH 2,4 ENVELOPE")
    assert len(segment.page.unscanned) == MANY - 2


async def test_the_checkpoint_comes_once_clients_rest(make: MakeWorld) -> None:
    world = await make(store={"background_quiet": 0.2})
    ann, account = await world.login(), await world.account()
    for _ in range(6):
        await append(ann)
        assert account.log.base == 0
    async with asyncio.timeout(10):
        while not account.log.base:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("reads", [("annotate", "grant", "urlkey"), ()])
async def test_pods_of_other_versions_are_told_all(make: MakeWorld, reads: tuple[str, ...]) -> None:
    """DECISIONS, "Format": what a pod cannot read is not written."""
    world = await make()
    world.reads = reads
    await world.publish(user("ann"), user("bob"))
    ann, account = await world.login(), await world.account()
    await append(ann)
    assert set(map(type, await newest(world, account))) == {Append}


async def test_few_are_told_at_once(world: World) -> None:
    ann, account = await world.login(), await world.account()
    await append(ann, 15)
    assert set(map(type, await newest(world, account))) == {Append}
