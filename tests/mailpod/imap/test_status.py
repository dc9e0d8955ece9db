"""STATUS: RFC 3501 §6.3.10."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import World

from mailpod.store import NewMessage


async def test_all_items(world: World) -> None:
    account = await world.account()
    await account.append("Sent", [NewMessage(b"a", frozenset(["\\Seen"])), NewMessage(b"b")])
    validity = account.mailbox("Sent").uidvalidity
    client = await world.login()
    everything = b"STATUS Sent (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)"
    answer = [b"* STATUS Sent (MESSAGES 2 RECENT 2 UIDNEXT 3 UIDVALIDITY %d UNSEEN 1)" % validity]
    assert await client.ok(everything) == answer
    assert await client.ok(everything) == answer  # RFC 3501 §6.3.10: \Recent is not lost
    await client.ok(b"EXAMINE Sent")
    assert await client.ok(b"STATUS Sent (RECENT)") == [b"* STATUS Sent (RECENT 2)"], "none is counted twice"
    await client.ok(b"SELECT Sent")
    assert await client.ok(b"STATUS Sent (RECENT)") == [b"* STATUS Sent (RECENT 2)"], "they have \\Recent here"
    other = await world.login()
    assert await other.ok(b"STATUS Sent (RECENT)") == [b"* STATUS Sent (RECENT 0)"], "and nowhere else"


async def test_names(world: World) -> None:
    client = await world.login()
    await client.ok(b"CREATE &Jjo-")
    assert await client.ok(b"STATUS &Jjo- (MESSAGES)") == [b"* STATUS &Jjo- (MESSAGES 0)"]
    assert await client.ok(b"STATUS inbox (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
    assert (await client.refused(b"STATUS nowhere (MESSAGES)")).startswith(b"a NO [NONEXISTENT]")
