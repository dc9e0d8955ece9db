"""SAVELIMIT: RFC 9738."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.mailpod.imap.dialogue import Client, MakeWorld, World

from mailpod.config import ImapSettings
from mailpod.store import NewMessage


@pytest.fixture
async def client(make: MakeWorld) -> Client:
    """INBOX has the UIDs 1 to 1010 but 1005."""
    world = await make(imap={"save_limit": 1000, "multiappend_messages": 2000})
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x")] * 1010)
    await account.expunge(account.mailbox("INBOX"), [1005])
    return await world.login(select="INBOX")


async def test_it_is_announced(client: Client, world: World) -> None:
    assert b" SAVELIMIT=1000 " in (await client.ok(b"CAPABILITY"))[0]
    assert b"LIMIT=" not in (await (await world.login()).ok(b"CAPABILITY"))[0].replace(b"APPENDLIMIT=", b"")


async def test_copy_is_refused_whole(client: Client) -> None:
    """RFC 9738 §3.1: with the lowest UID of those that would do."""
    refused = b"a NO [MESSAGELIMIT 1000 10] Too many messages, at most 1000 at once"
    assert await client.refused(b"UID COPY 1:* Sent") == refused
    assert await client.refused(b"COPY 1:* Sent") == refused
    assert await client.ok(b"STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 0)"]
    await client.ok(b"UID COPY 10:* Sent")
    await client.ok(b"UID MOVE 1:* Sent")
    assert await client.ok(b"STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 2009)"]


async def test_append_is_refused_whole(client: Client) -> None:
    refused = await client.refused(b"APPEND Sent" + b" {1+}\r\nx" * 1001)
    assert refused.startswith(b"a NO [MESSAGELIMIT 1000] ")
    await client.ok(b"APPEND Sent" + b" {1+}\r\nx" * 1000)
    assert await client.ok(b"STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 1000)"]


@pytest.mark.parametrize(
    ("key", "uids"),
    [
        (b"UIDAFTER 1008", b" 1009 1010"),
        (b"UIDAFTER 1010", b""),
        (b"UIDAFTER 4294967295", b""),
        (b"UIDBEFORE 3", b" 1 2"),
        (b"UIDBEFORE 1", b""),
        (b"UIDAFTER 1003 UIDBEFORE 1007", b" 1004 1006"),
        (b"OR UIDBEFORE 2 NOT UIDBEFORE 1010", b" 1 1010"),
    ],
)
async def test_uids_above_and_below_one(client: Client, key: bytes, uids: bytes) -> None:
    """RFC 9738 §3.2."""
    assert await client.ok(b"UID SEARCH " + key) == [b"* SEARCH" + uids]


async def test_what_is_no_uid(client: Client) -> None:
    for key in (b"UIDAFTER 0", b"UIDBEFORE 0", b"UIDAFTER *", b"UIDBEFORE", b"UIDAFTER 4294967296"):
        assert (await client.refused(b"UID SEARCH " + key)).startswith(b"a BAD "), key


def test_no_lower_than_it_should_be() -> None:
    """RFC 9738 §3."""
    with pytest.raises(ValidationError):
        ImapSettings(save_limit=999)
