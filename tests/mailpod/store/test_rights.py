"""What the log says of who may do what, and that no commit lands without its right."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.errors import LimitReached, MailError, NoPermission, NoSuchMailbox
from mailpod.store import ANYONE, RIGHTS, Access, Account, NewMessage, Who
from mailpod.store.bringing import bring
from mailpod.store.checkpoint import decode_root
from mailpod.store.lifecycle import new_account
from mailpod.store.names import checkpoint_key
from mailpod.store.rights import ordered
from mailpod.store.shares import SHARES_PREFIX, Shares

from .faults import Faulty, World, mail, make_world

BOB = Who("bob@x.test", "b1")
BOB_AGAIN = Who("bob@x.test", "b2")  # another account at the same address
EVE = Who("eve@x.test", "e1")


def to(rights: str) -> Callable[[str], str]:
    return lambda _: rights


async def _opened(world: World) -> Account:
    return await world.pod().open(world.ref)


async def test_a_grant_is_to_an_account_and_not_to_its_address() -> None:
    account = await _opened(await make_world())
    await account.grant("INBOX", BOB, to("lr"))
    box = account.mailbox("INBOX")
    assert [Access(who).rights(box) for who in (BOB, BOB_AGAIN, EVE)] == ["lr", "", ""]
    assert Access().rights(box) == RIGHTS  # the owner's, whatever the list says
    await account.grant("INBOX", BOB_AGAIN, lambda before: before + "w")  # nothing of the old account's is added to
    assert [Access(who).rights(box) for who in (BOB, BOB_AGAIN)] == ["", "w"]
    await account.grant("INBOX", Who(ANYONE, ""), to("l"))
    assert [Access(who).rights(box) for who in (BOB, BOB_AGAIN, EVE)] == ["l", "lw", "l"]
    await account.grant("INBOX", BOB_AGAIN, to(""))
    assert list(box.acl) == [ANYONE]


async def test_new_mailboxes_inherit_and_renamed_ones_keep() -> None:
    """RFC 4314 §4."""
    account = await _opened(await make_world())
    await account.create("Team")
    await account.grant("Team", BOB, to("lr"))
    await account.create("Team/a/b")
    assert all(account.mailbox(name).acl == account.mailbox("Team").acl for name in ("Team/a", "Team/a/b"))
    await account.rename("Team/a", "Else")
    assert Access(BOB).rights(account.mailbox("Else/b")) == "lr"
    await account.delete("Team")
    await account.create("Team")
    assert not account.mailbox("Team").acl


async def test_no_commit_lands_on_a_state_that_does_not_allow_it() -> None:
    """Another pod takes the right away while this one still believes in it."""
    world = await make_world()
    owners, guests = await _opened(world), await _opened(world)
    await owners.grant("INBOX", BOB, to("lrswite"))
    await owners.append("INBOX", [NewMessage(mail())])
    await guests.refresh()
    box, access = guests.mailbox("INBOX"), Access(BOB)
    await owners.grant("INBOX", BOB, to("l"))
    assert access.rights(box) == "lrswite"  # not seen yet
    with pytest.raises(NoPermission):
        await guests.append("INBOX", [NewMessage(mail())], guard=access.guard("INBOX", "i"))
    assert access.rights(box) == "l"
    await owners.grant("INBOX", BOB, to(""))
    for change in (
        guests.store_flags(box, [1], "add", ["\\Seen"], guard=access.guard_box(box, "s")),
        guests.expunge(box, [1], guard=access.guard_box(box, "e")),
        guests.move(box, [1], "Trash", guard=access.guard_box(box, "e")),
        guests.create("INBOX/new", guard=access.guard("INBOX", "k")),
        guests.grant("INBOX", EVE, to("l"), guard=access.guard("INBOX", "a")),
    ):
        with pytest.raises(NoSuchMailbox):
            await change
    await owners.refresh()
    assert (owners.mailbox("INBOX").exists, owners.mailbox("INBOX").unseen) == (1, 1)


async def test_a_refused_change_takes_no_other_of_its_commit_along() -> None:
    account = await _opened(await make_world())
    await account.append("INBOX", [NewMessage(mail())])
    box, access = account.mailbox("INBOX"), Access(BOB)
    results = await asyncio.gather(
        account.append("INBOX", [NewMessage(mail(1))]),
        account.append("INBOX", [NewMessage(mail(2))], guard=access.guard("INBOX", "i")),
        account.append("INBOX", [NewMessage(mail(3))]),
        return_exceptions=True,
    )
    assert [isinstance(each, MailError) for each in results] == [False, True, False] and box.exists == 3


async def test_set_leaves_flags_as_they_are_that_one_may_not_change() -> None:
    account = await _opened(await make_world())
    await account.append("INBOX", [NewMessage(mail(), frozenset(["\\Seen", "\\Deleted", "old"]))])
    box = account.mailbox("INBOX")
    spared = frozenset(["\\Seen", "\\Deleted"])
    await account.store_flags(box, [1], "set", ["new"], spared=spared.__contains__)
    assert box.flag_sets[box.flags[0]] == {"\\Seen", "\\Deleted", "new"}


async def test_a_mailbox_is_shared_with_so_many_and_not_more() -> None:
    account = await _opened(await make_world(grants=2))
    await account.grant("INBOX", BOB, to("l"))
    await account.grant("INBOX", EVE, to("l"))
    with pytest.raises(LimitReached):
        await account.grant("INBOX", Who("dan@x.test", "d"), to("l"))
    await account.grant("INBOX", EVE, to("lr"))
    await account.grant("INBOX", EVE, to(""))
    await account.grant("INBOX", Who("dan@x.test", "d"), to("l"))


async def test_a_checkpoint_with_rights_is_of_a_version_that_others_do_not_read() -> None:
    """Who would leave them out of its next checkpoint must not write one."""
    world = await make_world()
    pod = world.pod()
    account = await pod.open(world.ref)

    async def version() -> int:
        await account.append("INBOX", [NewMessage(mail())])
        assert await pod.checkpoint(account)
        return decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head))).v

    assert await version() == 1
    await account.grant("INBOX", BOB, to("lr"))
    assert await version() == 2
    await account.grant("INBOX", BOB, to(""))
    assert await version() == 1


@pytest.mark.parametrize("count", [1, 7])
async def test_copies_between_accounts_have_bytes_of_their_own(count: int) -> None:
    """STORE.md rule 11; of much it is packs of several messages."""
    world = await make_world(commit_bytes=3000, copy_inline_messages=2)
    other = await new_account(world.objects, "x.test", "bob", clock=world.clock, rng=random.Random(9))
    pod = world.pod()
    source, target = await pod.open(world.ref), await pod.open(other)
    texts = [mail(number, 900) for number in range(count)]
    await source.append("INBOX", [NewMessage(text, frozenset(["\\Seen", "\\Deleted"]), 5) for text in texts])
    box = source.mailbox("INBOX")

    def flags(given: object) -> tuple[str, ...]:
        return ("\\Seen",)

    copied = await bring(source, box, [*box.uids, 99], target, "INBOX", flags=flags, now=7.0)
    assert (copied.source, copied.target) == (list(box.uids), list(range(1, count + 1)))
    made = target.mailbox("INBOX")
    assert made.flag_sets[made.flags[0]] == {"\\Seen"} and made.exists == count
    for name in [entry.key for entry in await world.objects.list(world.ref.prefix)]:
        await world.objects.delete([name])
    async for page, rows in made.pages(made.uids):
        for row in rows:
            assert await target.body(page.location(row)) == texts[page.uids[row] - 1]
            assert (page.dates[row], page.saved[row]) == (5, 7)


async def test_hints_lead_to_owners_and_go_when_nothing_is_shared() -> None:
    world = await make_world()
    pod = world.pod()
    shares = Shares(pod, ttl=0)
    await shares.announce("x.test", "bob", "alice")
    await shares.announce("x.test", "bob", "alice")
    await shares.announce("x.test", None, "carol.é")
    assert await shares.owners("x.test", "bob") == ["alice", "carol.é"]
    assert await shares.owners("x.test", "alice") == ["carol.é"]  # her own are not shared with her
    await shares.tidy("x.test", "bob", [])
    assert len(await world.objects.list(f"{SHARES_PREFIX}x.test/bob/")) == 1
    await shares.tidy("x.test", "bob", ["alice"])  # its commit may still come
    assert await shares.owners("x.test", "bob") == ["alice", "carol.é"]
    world.clock.time += world.settings.grace + 1
    await shares.tidy("x.test", "bob", ["alice"])
    assert await shares.owners("x.test", "bob") == ["carol.é"]


async def test_a_grant_that_cannot_be_announced_is_not_made() -> None:
    world = await make_world()
    faulty = Faulty(world.objects)
    pod = world.pod(faulty)
    faulty.down = True
    with pytest.raises(MailError):
        await Shares(pod).announce("x.test", "bob", "alice")


@given(st.text(alphabet=RIGHTS + "cdqA0", max_size=20))
def test_rights_are_kept_in_one_order(rights: str) -> None:
    once = ordered(rights)
    assert set(once) == set(rights) & set(RIGHTS) and ordered(once[::-1]) == once
    assert msgspec.json.decode(msgspec.json.encode(once)) == once
