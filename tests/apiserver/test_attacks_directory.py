"""The attacks of OPERATOR.md's rules 33 to 35 and 39 on the real operator, API server and bucket.

Planted and replayed entries, others' addresses, private keys, a short LIST. See test_attacks.py.
"""

from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.apiserver.attacked import ALICE, BOB, Town, alice, town
from tests.apiserver.operatorrun import Raw, domain, mailbox

from mailpod.directory import MailboxEntry
from mailpod.errors import Unavailable
from mailpod.store.entries import entry_key, seal

__all__ = ["alice", "town"]

pytestmark = pytest.mark.cluster

NAMESPACE = "attacked-directory"


class TestDirectory:
    """Rule 33: who can write the bucket plants nothing that a pod believes, and the next comparison mends it."""

    def planted(self, town: Town, alice: MailboxEntry, key: str, data: bytes) -> None:
        town.write(key, data)
        try:
            found = town.seen_by_a_pod("alice@d.test")
        except Unavailable:
            found = None  # 451
        assert found is None or (found.owner, found.verifiers) == (alice.owner, alice.verifiers)
        town.wait("mended", lambda: town.is_true(alice))

    def test_33_an_entry_without_a_signature(self, town: Town, alice: MailboxEntry) -> None:
        line = town.read(ALICE).partition(b"\n")[0]
        self.planted(town, alice, ALICE, line.replace(alice.verifiers[0].encode(), b"$argon2id$mallorys") + b"\n")

    def test_33_an_entry_with_the_true_one_s_signature(self, town: Town, alice: MailboxEntry) -> None:
        true = town.read(ALICE)
        forged = true.replace(alice.verifiers[0].encode(), b"$argon2id$mallorys")
        assert forged != true
        self.planted(town, alice, ALICE, forged)

    def test_33_an_entry_signed_by_another_key(self, town: Town, alice: MailboxEntry) -> None:
        self.planted(town, alice, entry_key(alice), seal(alice, Ed25519PrivateKey.generate()))

    def test_33_the_signed_entry_of_another_address(self, town: Town, alice: MailboxEntry) -> None:
        self.planted(town, alice, ALICE, town.read(BOB))

    def test_33_a_signed_entry_at_an_address_that_nobody_has(self, town: Town, alice: MailboxEntry) -> None:
        ceo = "directory/d.test/ceo/address"
        town.write(ceo, town.read(ALICE))
        with contextlib.suppress(Unavailable):
            assert town.seen_by_a_pod("ceo@d.test") is None
        town.wait("withdrawn", lambda: town.prefix + ceo not in town.stored())
        assert town.is_true(alice)

    def test_33_the_signed_entries_of_another_domain(self, town: Town, alice: MailboxEntry) -> None:
        for name in ("!domain", "alice/address"):
            town.write(f"directory/bank.test/{name}", town.read(f"directory/d.test/{name}"))
        with contextlib.suppress(Unavailable):
            assert town.seen_by_a_pod("alice@bank.test") is None
        town.wait("withdrawn", lambda: not {key for key in town.stored() if "bank.test" in key})
        assert town.is_true(alice)

    def test_33_an_older_entry_put_back(self, town: Town) -> None:
        """From before bob was suspended."""
        old = town.read(BOB)
        town.apply(mailbox("bob", "d", suspended=True))

        def suspended() -> bool:
            found = town.seen_by_a_pod("bob@d.test")
            return found is not None and found.suspended

        town.wait("suspended", suspended)
        town.write(BOB, old)  # a pod that saw the newer one keeps to it: tests/operator/test_attacks.py
        town.wait("mended", lambda: town.read(BOB) != old and suspended())
        town.apply(mailbox("bob", "d"))
        town.wait("as it was", lambda: not suspended())


class TestAddresses:
    """Rule 39."""

    @pytest.mark.parametrize("spec", [{"localPart": "alice"}, {"aliases": ["alice"]}, {"localPart": "Alice"}])
    def test_39_anothers_address(self, town: Town, alice: MailboxEntry, spec: Raw) -> None:
        before = town.read(ALICE)
        town.apply(mailbox("aaron", "d", **spec))  # before alice in every list
        town.refused("mailbox", "aaron", "AddressAccepted", "AddressTaken")
        assert town.condition("mailbox", "alice", "Ready")["status"] == "True"
        assert town.read(ALICE) == before and town.is_true(alice)
        assert not {key for key in town.stored() if "/aaron/" in key}
        town.remove("mailbox", "aaron")

    def test_39_an_alias_added_later_takes_nothing_from_either(self, town: Town, alice: MailboxEntry) -> None:
        before = town.read(ALICE)
        town.apply(mailbox("bob", "d", aliases=["alice"]))
        town.refused("mailbox", "bob", "Published", "AddressTaken")
        assert town.read(ALICE) == before and town.is_true(alice)
        assert town.seen_by_a_pod("bob@d.test") is not None
        town.apply(mailbox("bob", "d"))
        town.wait_ready("bob")

    @pytest.mark.parametrize("local", ["admin", "postmaster", "hostmaster"])
    def test_39_a_reserved_local_part(self, town: Town, local: str) -> None:
        town.apply(mailbox("eve", "d", localPart=local), mailbox("carl", "d", aliases=[local]))
        for name in ("eve", "carl"):
            town.refused("mailbox", name, "AddressAccepted", "AddressReserved")
        assert not {key for key in town.stored() if f"/{local}/" in key}
        town.remove("mailbox", "eve", "carl")

    def test_39_the_domain_of_another_maildomain(self, town: Town, alice: MailboxEntry) -> None:
        """As its domainName, and as an alias domain of one in a bucket prefix of its own."""
        before = {key for key in town.mail() if "d.test" in key}
        for spec in ({"domain_name": "d.test"}, {"domain_name": "e.test", "aliasDomains": ["d.test"]}):
            town.apply(domain("thief", **{"server": town.storage(prefix="loot"), **spec}))
            town.refused("maildomain", "thief", "DomainAccepted", "DomainTaken")
            assert town.condition("maildomain", "d", "DomainAccepted")["status"] == "True"
            town.remove("maildomain", "thief")
        assert {key for key in town.mail() if "d.test" in key} == before and town.is_true(alice)


def test_35_no_private_key_is_in_the_bucket(town: Town) -> None:
    """In no object, nor in an old version of one: of TLS, of DKIM, and the one that signs the directory."""
    town.wait_ready("d", kind="maildomain", type="CertificateReady")
    private = [town.signing_key()]
    for raw in town.listed("secret"):
        files = {name: base64.b64decode(value) for name, value in (raw.get("data") or {}).items()}
        if "-keys-" in raw["metadata"]["name"]:
            private += [content for name, content in files.items() if name.endswith((".key", ".dkim"))]
        if raw["metadata"]["name"].endswith("-password"):
            private.append(files["password"])
    assert len(private) > 3
    needles = [b"PRIVATE KEY", town.bucket.secret_key.encode()]
    needles += [text for one in private for text in (one, base64.b64encode(one), one.hex().encode())]
    found = town.s3.list_object_versions(Bucket=town.place).get("Versions", [])
    assert len(found) > 20
    for each in found:
        body = town.s3.get_object(Bucket=town.place, Key=each["Key"], VersionId=each["VersionId"])["Body"].read()
        assert not [needle for needle in needles if needle in body], each["Key"]


def test_34_a_short_list(town: Town, alice: MailboxEntry) -> None:
    """The API server tells of three Mailboxes, without an error: nothing is withdrawn, and it is said."""

    def entries() -> dict[str, bytes]:
        found = sorted(key for key in town.stored() if key.startswith(town.prefix) and key.endswith("/address"))
        return {key: town.read(key.removeprefix(town.prefix)) for key in found}

    before = entries()
    town.proxy.keep, cut = 3, town.proxy.cut
    try:
        words = town.refused("maildomain", "d", "DirectoryReady", "TooManyWithdrawn")
        assert "entries have no owner any more" in words and town.proxy.cut > cut
        again = town.proxy.cut
        town.wait("two more", lambda: town.proxy.cut >= again + 4)
        assert entries() == before and town.is_true(alice)
        town.apply(mailbox("late", "d"))
        town.stop()
        town.start()  # a new process, to which nobody ever told of the others
        town.wait("looked at", lambda: town.condition("mailbox", "late", "Published")["status"] == "True")
        assert {key: data for key, data in entries().items() if key in before} == before
    finally:
        town.proxy.keep = None
    town.wait_ready("d", kind="maildomain", type="DirectoryReady")
    assert {key: data for key, data in entries().items() if key in before} == before
    town.remove("mailbox", "late")
