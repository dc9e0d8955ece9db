"""Attacks on addresses and on directory entries that need no API server: OPERATOR.md rules 33, 34 and 39.

Each must be refused, and leave its victim as it was.
"""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.operator.attackplace import KEY, Place, inhabited, place
from tests.operator.plane import domain, mailbox

from mailoperator import conditions as c
from mailoperator.context import API
from mailpod.directory import MailboxEntry, public_key
from mailpod.errors import Unavailable
from mailpod.store.entries import WRITER, Verifier, seal

__all__ = ["place"]


class TestOthersAddresses:
    """Rule 39."""

    async def test_an_alias_that_is_anothers_address(self, place: Place) -> None:
        """Refused, without taking from the asker what is his."""
        await inhabited(place)
        place.kube.user_applies(mailbox("bob", "d", aliases=["alice"]))
        await place.run()
        assert place.condition("bob", c.PUBLISHED).reason == c.ADDRESS_TAKEN
        assert await place.owner("alice@d.test") == place.uid("alice")
        place.clock.ahead += 16 * 60
        await place.run()
        assert await place.owner("bob@d.test") == place.uid("bob")

    @pytest.mark.parametrize("thief", ["aaron", "zoe"])
    async def test_a_mailbox_that_nobody_judged_yet(self, place: Place, thief: str) -> None:
        """A comparison may meet it before its own reconciliation does, in whatever order a LIST has them."""
        await inhabited(place)
        before = (await place.contents())["directory/d.test/alice/address"]
        place.kube.user_applies(mailbox(thief, "d", aliases=["alice"]))
        place.kube.user_applies(mailbox(f"{thief}2", "d", localPart="alice", aliases=["sales"]))
        await place.run()
        assert place.condition(thief, c.READY).reason == c.ADDRESS_TAKEN
        assert place.condition(f"{thief}2", c.READY).reason == c.ADDRESS_TAKEN
        after = await place.contents()
        assert after["directory/d.test/alice/address"] == before
        assert "directory/d.test/sales/address" not in after

    @pytest.mark.parametrize(
        "local", ["admin", "administrator", "hostmaster", "webmaster", "postmaster", "abuse", "Admin"]
    )
    async def test_a_reserved_local_part(self, place: Place, local: str) -> None:
        await inhabited(place)
        before = await place.contents()
        place.kube.user_applies(mailbox("eve", "d", localPart=local), mailbox("carl", "d", aliases=[local]))
        await place.run()
        for name in ("eve", "carl"):
            assert place.condition(name, c.READY).reason == c.ADDRESS_RESERVED
        assert await place.contents() == before
        entry = await place.pod().lookup("postmaster@d.test")
        assert entry is not None and entry.owner == place.uid("alice")

    async def test_an_older_maildomain_that_names_a_newer_ones_domain(self, place: Place) -> None:
        """As an alias domain, added after both were accepted."""
        place.kube.user_applies(
            domain("thief", "thief.test"), mailbox("eve", "thief"),
            domain("d", "d.test", aliasDomains=["also.test"]), mailbox("alice", "d"),
        )  # fmt: skip
        await place.run()
        for stolen in ("d.test", "also.test"):
            before = await place.contents()
            place.kube.user_applies(domain("thief", "thief.test", aliasDomains=[stolen]))
            await place.run()
            assert place.condition("thief", c.DOMAIN_ACCEPTED, "MailDomain").reason == c.DOMAIN_TAKEN
            assert place.condition("d", c.DOMAIN_ACCEPTED, "MailDomain").holds
            after = await place.contents()
            assert {key for key in after if "/d.test/" in key or "/also.test/" in key} == {
                key for key in before if "/d.test/" in key or "/also.test/" in key
            }
            assert await place.owner(f"eve@{stolen}") == ""
            assert await place.owner(f"alice@{stolen}") == place.uid("alice")
            place.kube.user_applies(domain("thief", "thief.test"))
            await place.run()

    async def test_an_alias_passed_on_while_the_operator_was_down(self, place: Place) -> None:
        """No attack: who still has entries, and does not want this one any more, does not hold it up."""
        place.kube.user_applies(domain("d", "d.test"), mailbox("alice", "d", aliases=["info"]), mailbox("bob", "d"))
        await place.run()
        place.kube.user_applies(mailbox("alice", "d"), mailbox("bob", "d", aliases=["info"]))
        await place.run()
        assert await place.owner("info@d.test") == place.uid("bob")
        assert place.condition("bob", c.READY).holds

    async def test_a_mailbox_made_again_while_the_operator_was_down(self, place: Place) -> None:
        """No attack: the same address, aliases and all, of another uid. It is served at once."""
        place.kube.user_applies(domain("d", "d.test"), mailbox("alice", "d", aliases=["info"]), mailbox("bob", "d"))
        await place.run()
        place.kube.user_deletes(API, "Mailbox", "n", "alice")
        place.kube.user_applies(mailbox("alice", "d", aliases=["info"]))
        await place.run()
        assert await place.owner("alice@d.test") == await place.owner("info@d.test") == place.uid("alice")
        assert place.condition("alice", c.READY).holds


class TestEntries:
    """Rule 33: whoever can write the bucket plants nothing."""

    async def attacked(self, place: Place, plant: dict[str, bytes], victim: str = "alice@d.test") -> None:
        """A pod that starts now and one that ran before; then the operator mends it."""
        running = place.pod()
        before = await running.lookup(victim)
        assert before is not None
        for key, data in plant.items():
            await place.objects.put(key, [data])
        place.clock.ahead += 5  # longer than a pod remembers
        for pod in (running, place.pod()):
            try:
                found = await pod.lookup(victim)
            except Unavailable:
                continue
            assert found is not None and found.verifiers == before.verifiers and found.owner == before.owner
        await place.run()
        place.clock.ahead += 16 * 60
        await place.run()
        after = await place.pod().lookup(victim)
        assert after is not None and (after.owner, after.verifiers) == (before.owner, before.verifiers)
        for key in plant:
            if key not in (alice := "directory/d.test/alice/address",):
                assert key not in await place.contents(), f"{alice} is not the only one"

    async def test_without_a_signature(self, place: Place) -> None:
        await inhabited(place)
        good = await place.objects.get("directory/d.test/alice/address")
        forged = good.partition(b"\n")[0].replace(b'"verifier"', b'"attacker"') + b"\n"
        assert forged != good
        await self.attacked(place, {"directory/d.test/alice/address": forged})

    async def test_with_another_signature(self, place: Place) -> None:
        """The signature of the true entry under changed words, and a true signature by an untrusted key."""
        await inhabited(place)
        good = await place.objects.get("directory/d.test/alice/address")
        forged = good.replace(b'"verifier"', b'"attacker"')
        assert forged != good
        await self.attacked(place, {"directory/d.test/alice/address": forged})

    async def test_of_another_address_copied_over(self, place: Place) -> None:
        """bob's own entry, which is signed, at alice's address; and alice's at one that nobody has."""
        await inhabited(place)
        bobs = await place.objects.get("directory/d.test/bob/address")
        alices = await place.objects.get("directory/d.test/alice/address")
        await self.attacked(place, {"directory/d.test/alice/address": bobs, "directory/d.test/ceo/address": alices})

    async def test_of_another_domain_copied_over(self, place: Place) -> None:
        await inhabited(place)
        entry = await place.objects.get("directory/d.test/!domain")
        alices = await place.objects.get("directory/d.test/alice/address")
        await self.attacked(place, {"directory/bank.test/!domain": entry, "directory/bank.test/alice/address": alices})
        assert await place.pod().domain("bank.test") is None

    async def test_an_older_one_put_back(self, place: Place) -> None:
        """alice's entry from before she was suspended: a pod that saw the newer one keeps to it, a pass mends it."""
        await inhabited(place)
        key = "directory/d.test/alice/address"
        old = await place.objects.get(key)
        place.kube.user_applies(mailbox("alice", "d", suspended=True))
        await place.run()
        running = place.pod()
        entry = await running.lookup("alice@d.test")
        assert entry is not None and entry.suspended
        await place.objects.put(key, [old])
        place.clock.ahead += 5
        entry = await running.lookup("alice@d.test")
        assert entry is not None and entry.suspended
        await place.run()
        entry = await place.pod().lookup("alice@d.test")
        assert entry is not None and entry.suspended
        place.clock.ahead += 5
        assert await running.lookup("alice@d.test") == entry

    async def test_the_last_one_of_who_is_gone_put_back(self, place: Place) -> None:
        await inhabited(place)
        key = "directory/d.test/alice/address"
        old = await place.objects.get(key)
        place.kube.user_deletes(API, "Mailbox", "n", "alice")
        await place.run()
        place.clock.ahead += 16 * 60
        await place.run()
        assert await place.owner("alice@d.test") == ""
        await place.objects.put(key, [old])
        await place.run()
        with pytest.raises(Unavailable):
            await place.owner("alice@d.test")
        place.clock.ahead += 16 * 60
        await place.run()
        assert key not in await place.contents()

    async def test_an_older_operator_leaves_what_a_newer_one_wrote(self, place: Place) -> None:
        """Rule 34: an entry with fields that this version does not know is not rewritten, and stays in force."""
        await inhabited(place)
        key = "directory/d.test/alice/address"
        entry = Verifier([public_key(KEY)]).open(key, await place.objects.get(key))
        assert isinstance(entry, MailboxEntry)
        newer = seal(
            msgspec.structs.replace(entry, writer=WRITER + 1, verifiers=("newer",)),
            Ed25519PrivateKey.from_private_bytes(KEY),
        )
        await place.objects.put(key, [newer])
        place.kube.user_applies(mailbox("alice", "d", suspended=True))
        await place.run()
        assert (await place.contents())[key] == newer
