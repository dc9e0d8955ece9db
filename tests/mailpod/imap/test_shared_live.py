"""Mailboxes of others while they change: what comes, rights that come and go, owners that are not there."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, eventually, other_pod, user
from tests.mailpod.imap.sharing import TEAM, append, shared

from mailpod.config import ImapSettings
from mailpod.store import incarnations
from mailpod.store.buckettime import BucketClock


async def test_what_comes_is_told_to_who_has_it_selected(make: MakeWorld) -> None:
    """Also at another pod, by the look that all who follow an account share."""
    world = await make(imap=ImapSettings(idle_refresh_seconds=0.05))
    pod = await other_pod(world)
    ann, _ = await shared(world, b"lrs")
    bob = await pod.login("bob", select=f'"{TEAM.decode()}"')
    await append(ann, b"Team")
    assert (await bob.ok(b"NOOP"))[0] == b"* 2 EXISTS"
    await bob.send(b"i IDLE\r\n")
    assert await bob.line() == b"+ idling"
    await append(ann, b"Team")
    assert await bob.line() == b"* 3 EXISTS"
    pod.server.close()


async def withdraw(ann: Client, world: World) -> None:
    await ann.ok(b"SETACL Team bob@example.org -r")


async def suspend(ann: Client, world: World) -> None:
    await world.publish(user("ann", suspended=True), user("bob"))
    world.services.directory._present.clear()
    await world.services.registry.sweep()


async def remove(ann: Client, world: World) -> None:
    await world.publish(user("bob"))
    world.services.directory._present.clear()
    await world.services.registry.sweep()


@pytest.mark.parametrize("end", [withdraw, suspend, remove])
@pytest.mark.parametrize("idle", [True, False])
async def test_who_may_not_read_any_more_is_closed_out(
    world: World, end: Callable[[Client, World], Awaitable[None]], idle: bool
) -> None:
    """RFC 4314 §5.1.1 allows the BYE; nothing more of the mailbox is told."""
    ann, bob = await shared(world, b"lrs")
    await bob.ok(b'SELECT "%b"' % TEAM)
    if idle:
        await bob.send(b"i IDLE\r\n")
        assert await bob.line() == b"+ idling"
    await end(ann, world)
    assert (await bob.line()).startswith(b"* BYE ") and await bob.closed()
    again = await world.login("bob")
    assert (await again.ask(b'SELECT "%b"' % TEAM))[-1].startswith(b"a NO [")
    await eventually(lambda: not world.services.registry._guests)
    assert len(world.services.followers) == 0


async def test_rights_taken_at_another_pod_reach_a_session_that_asks_for_nothing(make: MakeWorld) -> None:
    world = await make(imap=ImapSettings(idle_refresh_seconds=0.05))
    pod = await other_pod(world)
    ann, _ = await shared(world, b"lrs")
    bob = await pod.login("bob", select=f'"{TEAM.decode()}"')
    await ann.ok(b"DELETEACL Team bob@example.org")
    assert (await bob.line()).startswith(b"* BYE Access to the selected mailbox was withdrawn")
    assert await bob.closed()
    pod.server.close()


async def test_new_rights_are_told_as_permanent_flags(world: World) -> None:
    """RFC 4314 §5.1.1."""
    ann, bob = await shared(world, b"lr")
    await bob.ok(b'SELECT "%b"' % TEAM)
    await ann.ok(b"SETACL Team bob@example.org lrs")
    told = await bob.ok(b"NOOP")
    assert any(line.startswith(b"* OK [PERMANENTFLAGS (\\Seen)]") for line in told)
    await bob.ok(b"STORE 1 +FLAGS (\\Seen)")


async def test_an_account_made_again_at_an_address_inherits_nothing(world: World) -> None:
    await shared(world, b"lr")
    await world.publish(user("ann"))
    found = await incarnations.latest(world.objects, "example.org", "bob")
    assert found is not None
    absent = incarnations.Incarnation(found.number + 1, "0" * 32, absent=True)  # as its deletion leaves it
    await incarnations.create(world.objects, "example.org", "bob", absent)
    await world.publish(user("ann"), user("bob"))
    world.services.directory._present.clear()
    again = await world.login("bob")
    assert (await again.refused(b'SELECT "%b"' % TEAM)).startswith(b"a NO [NONEXISTENT]")
    assert not [line for line in await again.ok(b'LIST "" "*"') if b"Other" in line]


async def test_an_owner_whose_resource_is_missed_does_not_keep_others_from_listing(world: World) -> None:
    """OPERATOR.md rule 34: the address is not available just now."""
    await shared(world, b"lr")
    await world.publish(user("ann", orphaned=1), user("bob"))
    world.services.directory._present.clear()
    bob = await world.login("bob")
    assert [line for line in await bob.ok(b'LIST "" "*"') if b"INBOX" in line]
    assert (await bob.refused(b'SELECT "%b"' % TEAM)).startswith(b"a NO [UNAVAILABLE]")


async def test_what_a_suspended_owner_shares_is_found_again_however_long_that_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hints that lead to nothing go once they are older than GRACE; these lead to something."""

    async def later(_: BucketClock) -> float:
        return time.time() + 10 * 86400

    monkeypatch.setattr(BucketClock, "now", later)
    ann, bob = await shared(world, b"lr")
    for suspended in (True, False):
        await world.publish(user("ann", suspended=suspended), user("bob"))
        world.services.directory._present.clear()
        there = [line for line in await bob.ok(b'LIST "" "*"') if TEAM in line]
        assert there == ([] if suspended else [b'* LIST (\\HasNoChildren) "/" "%b"' % TEAM])
    await ann.ok(b"DELETEACL Team bob@example.org")
    await bob.ok(b'LIST "" "*"')
    assert await world.objects.list("shares/") == []
