"""Passwords: offered or generated, never taken, never applied over, hashed once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.operator.fakekube import FakeKube
from tests.operator.keykit import domain, mailbox, secret

from mailoperator.clusterpasswords import ClusterPasswords, in_directory
from mailoperator.entries import domain_entries, entries_of
from mailoperator.kube import ApiError
from mailoperator.model import Mailbox, MailDomain
from mailoperator.offered import Refused
from mailoperator.passwordhash import Hasher, salt_of
from mailoperator.passwordsecrets import Credential, credential, generated_name, read
from mailoperator.world import World
from mailpod.clock import SystemClock
from mailpod.directory import Directory, Publisher, new_signing_key, public_key
from mailpod.store.memory import MemoryObjects

KEY = bytes(32)
VERIFIER = argon2.PasswordHasher(time_cost=1, memory_cost=64).hash("x")
NAMED: dict[str, Any] = {"passwordSecretRef": {"name": "mine"}}


def proof(box: Mailbox, password: str) -> str:
    return f"proof of {box.metadata.uid} {password}"


def unseen(name: str) -> dict[str, Any] | None:
    return None


async def refusal(kube: FakeKube, **spec: Any) -> str:
    with pytest.raises(Refused) as caught:
        await credential(kube, mailbox(**spec), unseen, proof=proof)
    return caught.value.reason


async def test_named_secret_must_be_there_and_offered() -> None:
    kube = FakeKube()
    assert await refusal(kube, **NAMED) == "SecretMissing"
    kube.user_applies(secret("mine", {"password": "s3cret"}))
    assert await refusal(kube, **NAMED) == "SecretNotOffered"
    kube.user_applies(secret("mine", {"password": "s3cret"}, use="s3"))
    assert await refusal(kube, **NAMED) == "SecretNotOffered"
    kube.user_applies(secret("mine", {"password": "s3cret"}, use="password"))
    found = await credential(kube, mailbox(**NAMED), unseen, proof=proof)
    assert (found.secret, found.password) == ("mine", "s3cret")
    assert "s3cret" not in repr(found)
    assert kube.writes == 0


@pytest.mark.parametrize(
    ("data", "key", "expected"),
    [
        ({"password": "a"}, None, Credential("s", password="a")),
        ({"password": "a", "verifier": VERIFIER}, None, Credential("s", password="a")),
        ({"verifier": VERIFIER}, None, Credential("s", verifier=VERIFIER)),
        ({"imap": "b", "password": "a"}, "imap", Credential("s", password="b")),
        ({"password": "grüße"}, None, Credential("s", password="grüße")),
    ],
)
def test_keys_of_a_secret(data: dict[str, bytes | str], key: str | None, expected: Credential) -> None:
    assert read(secret("s", data), key) == expected


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({}, None),
        ({"password": ""}, None),
        ({"password": b"\xff\xfe"}, None),
        ({"password": "hunter2\n"}, None),
        ({"password": "x" * 1025}, None),
        ({"password": "hunter2"}, "other"),
        ({"verifier": "$2b$hunter2"}, None),
    ],
)
def test_secret_that_is_no_password_is_told_without_quoting_it(data: dict[str, bytes | str], key: str | None) -> None:
    with pytest.raises(Refused) as caught:
        read(secret("s", data), key)
    assert caught.value.reason == "SecretInvalid"
    assert "hunter2" not in caught.value.message


async def test_password_is_generated_once_and_kept() -> None:
    kube = FakeKube()
    first = await credential(kube, mailbox(), unseen, proof=proof)
    assert first.secret == "alice-password"
    assert first.password and len(first.password) == 23
    made = kube.objects["v1", "Secret", "mail", "alice-password"]
    assert made["metadata"]["labels"]["mailpod.dev/use"] == "password"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-of-alice"
    assert await credential(kube, mailbox(), unseen, proof=proof) == first
    assert await credential(kube, mailbox(), lambda name: made, proof=proof) == first
    assert kube.log == [("create", "Secret", "alice-password")]

    kube.user_deletes("v1", "Secret", "mail", "alice-password")
    again = await credential(kube, mailbox(), unseen, proof=proof)
    assert again.password != first.password


async def test_what_a_person_put_into_the_generated_secret_counts() -> None:
    kube = FakeKube()
    await credential(kube, mailbox(), unseen, proof=proof)
    made = kube.objects["v1", "Secret", "mail", "alice-password"]
    assert (await credential(kube, mailbox(), unseen, proof=proof)).random
    made["data"] = secret("x", {"password": "chosen"})["data"]
    found = await credential(kube, mailbox(), unseen, proof=proof)
    assert (found.password, found.random) == ("chosen", False)


@pytest.mark.parametrize("owner", ["", "uid-of-somebody-else"])
async def test_anothers_secret_under_the_name_is_neither_read_nor_written(owner: str) -> None:
    kube = FakeKube()
    kube.user_applies(secret("alice-password", {"password": "theirs"}, use="password", owner=owner))
    assert await refusal(kube) == "SecretNameTaken"
    assert kube.writes == 0


async def test_mailbox_made_anew_does_not_get_the_watchs_old_secret() -> None:
    kube = FakeKube()
    await credential(kube, mailbox(), unseen, proof=proof)
    stale = kube.objects["v1", "Secret", "mail", "alice-password"].copy()
    kube.user_deletes("v1", "Secret", "mail", "alice-password")  # the garbage collector, with the first Mailbox
    anew = await credential(kube, mailbox(uid="second"), lambda name: stale, proof=proof)
    assert anew.password != read(stale, None).password


async def test_race_for_the_name_is_lost_quietly() -> None:
    class Racing(FakeKube):
        async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
            self.user_applies(secret("alice-password", {"password": "first"}, use="password", owner="uid-of-alice"))
            raise ApiError(409, "AlreadyExists", "")

    assert (await credential(Racing(), mailbox(), unseen, proof=proof)).password == "first"


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True))
def test_generated_names_are_names(name: str) -> None:
    made = generated_name(mailbox(name, localPart="x"))
    assert len(made) <= 253 and made.endswith("-password")


async def nothing() -> Sequence[str]:
    return ()


async def test_hash_is_made_once_and_known_again_after_a_restart() -> None:
    hasher = Hasher(KEY)
    made = await hasher.verifier("uid-1", "s3cret", nothing)
    assert argon2.PasswordHasher().verify(made, "s3cret")
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(set(await asyncio.gather(*(hasher.verifier("uid-1", "s3cret", nothing) for _ in range(5))))) == 1
    assert hasher.hashed == 1
    hasher.close()

    asked = []

    async def published() -> Sequence[str]:
        asked.append(1)
        return ("$argon2id$nonsense", made)

    restarted = Hasher(KEY)
    assert await restarted.verifier("uid-1", "s3cret", published) == made
    assert await restarted.verifier("uid-1", "s3cret", published) == made
    assert (restarted.hashed, len(asked)) == (0, 1)
    assert await restarted.verifier("uid-1", "changed", published) != made
    assert restarted.hashed == 1
    restarted.close()

    without = Hasher(KEY)  # nothing could be read: the same text all the same, so that nothing is written
    assert await without.verifier("uid-1", "s3cret", nothing) == made
    without.close()


async def test_only_a_password_that_the_operator_made_is_hashed_quickly() -> None:
    kube, hasher, world = FakeKube(), Hasher(KEY), World()
    passwords = ClusterPasswords(kube, world, hasher, lambda box: nothing())
    box = mailbox()
    (generated,) = (await passwords.report(box)).verifiers
    made = kube.objects["v1", "Secret", "mail", "alice-password"]
    password = read(made, None).password or ""
    assert generated.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert argon2.PasswordHasher().verify(generated, password)
    assert (await passwords.report(box)).verifiers == (generated,)
    assert hasher.hashed == 0
    assert world.get("Secret", ("mail", "alice-password")), "what was made needs no watch to be known"

    # the same password elsewhere, or another one here, has no proof
    for version, uid, text in (("998", "uid-of-alice", "password1"), ("999", "another", password)):
        kept = secret("alice-password", {"password": text}, use="password", owner=uid)
        kept["metadata"]["annotations"] = made["metadata"]["annotations"]
        kept["metadata"]["resourceVersion"] = version
        world.replace("Secret", [kept])
        (slow,) = (await passwords.report(mailbox(uid=uid))).verifiers
        assert slow.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    hasher.close()


async def test_salts_tell_mailboxes_passwords_and_operators_apart() -> None:
    hasher, other = Hasher(KEY), Hasher(b"k" * 32)
    made = [
        await hasher.verifier("uid-1", "same", nothing),
        await hasher.verifier("uid-2", "same", nothing),
        await hasher.verifier("uid-1", "Same", nothing),
        await other.verifier("uid-1", "same", nothing),
    ]
    assert len({salt_of(verifier) for verifier in made}) == 4
    hasher.close()
    other.close()


@given(st.text(max_size=120) | st.text(max_size=60).map(lambda text: f"$argon2id$v=19$m=19456,t=2,p=1${text}"))
def test_salt_of_takes_any_text(text: str) -> None:
    salt_of(text)


async def test_report_says_it_all() -> None:
    kube, hasher = FakeKube(), Hasher(KEY)

    async def published(box: object) -> Sequence[str]:
        return ()

    passwords = ClusterPasswords(kube, World(), hasher, published)
    report = await passwords.report(mailbox())
    assert (report.condition.type, report.condition.status) == ("PasswordReady", "True")
    assert report.secret == "alice-password" and len(report.verifiers) == 1
    refused = await passwords.report(mailbox(**NAMED))
    assert (refused.condition.reason, refused.verifiers, refused.secret) == ("SecretMissing", (), "mine")
    kube.user_applies(secret("mine", {"verifier": VERIFIER}, use="password"))
    assert (await passwords.report(mailbox(**NAMED))).verifiers == (VERIFIER,)
    hasher.close()


async def test_restarted_operator_finds_its_hash_in_the_signed_directory() -> None:
    signing, clock, world, kube = new_signing_key(), SystemClock(), World(), FakeKube()
    objects = MemoryObjects()
    host = domain()
    world.put(host.model_dump(by_alias=True, exclude_none=True))
    kube.user_applies(secret("mine", {"password": "s3cret"}, use="password"))
    box = mailbox(**NAMED)

    class Bucket:
        async def verifiers(self, host: MailDomain, address: str) -> tuple[str, ...]:
            entry = await Directory(objects, public_keys=[public_key(signing)], clock=clock).lookup(address)
            return entry.verifiers if entry else ()

    first = Hasher(signing)
    report = await ClusterPasswords(kube, world, first, in_directory(Bucket(), world)).report(box)
    publisher = Publisher(objects, signing_key=signing, clock=clock, rng=random.Random(1))
    await publisher.publish([*domain_entries(host, None), *entries_of(box, host, report.verifiers[0])])

    second = Hasher(signing)
    again = await ClusterPasswords(kube, world, second, in_directory(Bucket(), world)).report(box)
    assert again == report
    assert (first.hashed, second.hashed) == (1, 0)
    first.close()
    second.close()
