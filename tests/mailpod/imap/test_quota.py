"""QUOTA: RFC 9208."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import MakeWorld, World, user

from mailpod.store import NewMessage


async def test_usage_and_limits(make: MakeWorld) -> None:
    world = await make(quota={"warn_percent": []})
    await world.publish(user("ann", quota_bytes=10_240, quota_messages=3))
    account = await world.account()
    await account.append("Sent", [NewMessage(b"m" * 1500), NewMessage(b"m")])
    client = await world.login()
    quota = b'* QUOTA "" (STORAGE 2 10 MESSAGE 2 3)'
    assert await client.ok(b'GETQUOTA ""') == [quota]
    assert await client.ok(b"GETQUOTAROOT inbox") == [b'* QUOTAROOT INBOX ""', quota]
    assert await client.ok(b"GETQUOTAROOT yet/to/come") == [b'* QUOTAROOT yet/to/come ""', quota], "RFC 9208 §4.1.2"
    await client.ok(b"APPEND INBOX {1+}\r\nm")
    assert await client.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 2 10 MESSAGE 3 3)']
    assert (await client.refused(b"APPEND INBOX {1+}\r\nm")).startswith(b"a NO [OVERQUOTA]")


async def test_a_warning_at_a_threshold(world: World) -> None:
    """By mail, whatever the mailbox was filled with: an APPEND, or a COPY."""
    await world.publish(user("ann", quota_messages=10))
    account = await world.account()
    await account.append("Sent", [NewMessage(b"m" * 20)] * 7)
    client = await world.login(select="Sent")
    await client.ok(b"APPEND Drafts {1+}\r\nm")
    await world.services.quota.idle()
    fetch = b"FETCH * (BODY[HEADER.FIELDS (SUBJECT)])"
    await client.ok(b"SELECT INBOX")
    assert b"Your mailbox is 80 % full" in (await client.ok(fetch))[0]
    await client.ok(b"SELECT Sent")
    await client.ok(b"COPY 1 Drafts")
    await world.services.quota.idle()
    await client.ok(b"SELECT INBOX")
    assert b"Your mailbox is 100 % full" in (await client.ok(fetch))[0]


async def test_a_warning_when_the_new_one_is_larger(world: World) -> None:
    """RFC 8508 §3.4: the quota counts what REPLACE adds beyond what it removes."""
    await world.publish(user("ann", quota_bytes=10_000))
    await (await world.account()).append("Sent", [NewMessage(b"m" * 7000)])
    client = await world.login(select="Sent")
    await client.ok(b"REPLACE 1 Sent {8500+}\r\n" + b"m" * 8500)
    await world.services.quota.idle()
    await client.ok(b"SELECT INBOX")
    assert b"Your mailbox is 85 % full" in (await client.ok(b"FETCH * (BODY[HEADER.FIELDS (SUBJECT)])"))[0]


async def test_without_limits(world: World) -> None:
    client = await world.login()
    assert await client.ok(b"GETQUOTAROOT INBOX") == [b"* QUOTAROOT INBOX"]
    assert (await client.refused(b'GETQUOTA ""')).startswith(b"a NO [NONEXISTENT]")


async def test_refusals(world: World) -> None:
    client = await world.login()
    assert (await client.refused(b"GETQUOTA other")).startswith(b"a NO [NONEXISTENT]")
    assert (await client.refused(b'GETQUOTAROOT "Other Users/bob/x"')).startswith(b"a NO [NONEXISTENT]")
    assert (await client.refused(b'SETQUOTA "" (STORAGE 512)')).startswith(b"a NO [NOPERM]")
    assert (await client.refused(b'SETQUOTA "" STORAGE')).startswith(b"a BAD")


async def test_what_expunge_would_free(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"m" * 7, frozenset(["\\Deleted"])), NewMessage(b"m" * 30)])
    client = await world.login()
    assert await client.ok(b"STATUS INBOX (DELETED DELETED-STORAGE SIZE)") == [
        b"* STATUS INBOX (DELETED 1 DELETED-STORAGE 7 SIZE 37)"
    ]
