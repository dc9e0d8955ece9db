"""The attacks of OPERATOR.md's rules 29 to 35, and 39, on the real operator, API server and bucket.

Each must be refused with its reason, and leave the attacker with nothing: no object in the bucket, no Secret, no
Deployment, and the victims as they were. What needs none of the three is in tests/operator/test_attacks*.py.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.apiserver.conftest import need_apiserver
from tests.apiserver.harness import ApiServer
from tests.apiserver.operatorrun import OperatorRun, Raw, domain, mailbox
from tests.apiserver.shortproxy import ShortProxy
from tests.charts.rendered import render
from tests.fixtures_seaweed import Seaweed
from tests.operator.keykit import pair
from tests.operator.test_attacks_endpoint import Server, serving

from mailpod.clock import SystemClock
from mailpod.directory import Directory, MailboxEntry, open_bucket, public_key
from mailpod.errors import Unavailable
from mailpod.store.entries import entry_key, seal

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"
NAMESPACE = "attacked"
MANY = [f"m{number:02}" for number in range(12)]
ALICE = "directory/d.test/alice/address"
BOB = "directory/d.test/bob/address"


class Town(OperatorRun):
    """An operator that sweeps all the time, behind a proxy; a domain `d` with alice, bob and a dozen more."""

    def __init__(self, server: ApiServer, bucket: Seaweed, proxy: ShortProxy, folder: Path) -> None:
        self.place = bucket.new_bucket()
        self.proxy = proxy
        super().__init__(server, bucket, NAMESPACE, folder)
        self._credentials = folder / "credentials"
        keys = f"aws_access_key_id = {bucket.access_key}\naws_secret_access_key = {bucket.secret_key}"
        self._credentials.write_text(f"[default]\n{keys}\n")
        self.s3 = boto3.client(
            "s3", endpoint_url=bucket.endpoint, aws_access_key_id=bucket.access_key,
            aws_secret_access_key=bucket.secret_key, region_name=bucket.region,
        )  # fmt: skip

    def _settings(self) -> Raw:
        settings = super()._settings()
        storage = settings["defaultStorage"] | {"bucket": self.place}
        return settings | {"sweepSeconds": 2, "defaultStorage": storage, "workers": 8}

    @property
    def _kubeconfig(self) -> Path:
        return self.proxy.kubeconfig

    def storage(self, **more: Any) -> Raw:
        """`server` of a MailDomain with storage of its own in the same bucket."""
        given = {
            "bucket": self.place, "endpoint": self.bucket.endpoint, "region": self.bucket.region,
            "credentialsSecretRef": {"name": "s3"}, "provisioning": "Adopt",
        }  # fmt: skip
        return {"replicas": 1, "storage": {name: value for name, value in (given | more).items() if value is not None}}

    def secret(self, name: str, data: dict[str, bytes], *, use: str = "", type: str = "Opaque") -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        metadata = {"name": name, "labels": {"mailpod.dev/use": use} if use else {}}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": encoded})

    def names(self, kind: str) -> set[str]:
        return {raw["metadata"]["name"] for raw in self.listed(kind)}

    # the bucket

    @property
    def prefix(self) -> str:
        return f"{NAMESPACE}/d/"

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.place, Key=self.prefix + key)["Body"].read())

    def write(self, key: str, data: bytes) -> None:
        """As anyone could who can write the bucket."""
        self.s3.put_object(Bucket=self.place, Key=self.prefix + key, Body=data)

    def stored(self) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.place)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    def mail(self) -> set[str]:
        """All keys but the claims."""
        return {key for key in self.stored() if not key.startswith(".mailpod/")}

    def claims(self) -> set[str]:
        return {key for key in self.stored() if key.startswith(".mailpod/claims/")}

    def signing_key(self) -> bytes:
        found = self.get("secret", "mailpod-signing-key")["data"]["signing.key"]
        return base64.b64decode(found)

    def seen_by_a_pod(self, address: str) -> MailboxEntry | None:
        """What a pod that starts now makes of an address. Raises Unavailable."""

        async def look() -> MailboxEntry | None:
            url = self.bucket.url(self.prefix.strip("/"), self.place)
            objects = await open_bucket(url, credentials_file=self._credentials)
            return await Directory(objects, public_keys=[public_key(self.signing_key())], clock=SystemClock()).lookup(
                address
            )

        return asyncio.run(look())

    def is_true(self, entry: MailboxEntry) -> bool:
        """Whether a pod that starts now finds just this, but for its version."""
        try:
            found = self.seen_by_a_pod(entry.address)
        except Unavailable:
            return False
        return found is not None and (found.owner, found.verifiers) == (entry.owner, entry.verifiers)

    # what is asked of an attack

    def refused(self, kind: str, name: str, type: str, reason: str) -> str:
        """Wait until the operator says so; its words."""
        self.wait(
            f"{kind} {name} {type} {reason}",
            lambda: (
                (self.condition(kind, name, type)["status"], self.condition(kind, name, type)["reason"])
                == ("False", reason)
            ),
        )
        return str(self.condition(kind, name, type)["message"])

    def remove(self, kind: str, *names: str) -> None:
        self.server.kubectl("delete", kind, *names, "-n", NAMESPACE, "--timeout=60s")


@pytest.fixture(scope="module")
def town(apiserver: ApiServer, seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    need_apiserver()
    apiserver.kubectl("apply", "--server-side", "-f", CRDS)
    apiserver.kubectl("create", "namespace", NAMESPACE)
    folder = tmp_path_factory.mktemp("attacked")
    with ShortProxy(apiserver, folder) as proxy, Town(apiserver, seaweed, proxy, folder) as made:
        made.apply(domain("d", "d.test"), *(mailbox(name, "d") for name in ("alice", "bob", *MANY)))
        made.wait_ready("alice", "bob", *MANY)
        yield made


@pytest.fixture
def alice(town: Town) -> MailboxEntry:
    """The victim's entry, before the attack."""
    entry = town.seen_by_a_pod("alice@d.test")
    assert entry is not None and entry.owner == town.get("mailbox", "alice")["metadata"]["uid"] and entry.verifiers
    return entry


class TestServers:
    """Rules 29 and 30."""

    def test_29_a_server_by_who_may_only_write_maildomains(self, town: Town) -> None:
        """The chart's ValidatingAdmissionPolicy, and a tenant with the chart's role for editing."""
        wanted = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole")
        objects = [each for each in render() if each["kind"] in wanted]
        town.server.apply(objects)
        try:
            role = next(each["metadata"]["name"] for each in objects if each["metadata"]["name"].endswith("-edit"))
            town.server.kubectl(
                *("create", "rolebinding", "tenant", "-n", NAMESPACE, f"--clusterrole={role}", "--user=mallory")
            )
            as_tenant = ("create", "-n", NAMESPACE, "--as", "mallory", "-f", "-")
            for spec in ({"server": {"replicas": 1}}, {}, {"server": town.storage(prefix="loot")}):
                deadline = time.monotonic() + 60  # until the API server has the new policy
                while True:
                    done = town.server.try_kubectl(
                        *as_tenant, "--dry-run=server", stdin=json.dumps(domain("taken", "taken.test", **spec))
                    )
                    if done.returncode or time.monotonic() > deadline:
                        break
                    time.sleep(0.2)
                done = town.server.try_kubectl(*as_tenant, stdin=json.dumps(domain("taken", "taken.test", **spec)))
                assert done.returncode and "verb serve" in done.stderr, done.stdout + done.stderr
            assert "taken" not in town.names("maildomain") | town.names("deployment")
            served = domain("served", "served.test", servedByRef={"name": "d"})
            town.server.kubectl(*as_tenant, stdin=json.dumps(served))
            town.remove("maildomain", "served")
        finally:
            for each in objects:
                town.server.kubectl("delete", each["kind"], each["metadata"]["name"], "--ignore-not-found")

    def test_30_served_by_one_that_is_served_itself(self, town: Town) -> None:
        town.apply(domain("middle", "middle.test", servedByRef={"name": "d"}))
        town.wait_ready("middle", kind="maildomain", type="DomainAccepted")
        before = town.mail()
        town.apply(domain("deep", "deep.test", servedByRef={"name": "middle"}), mailbox("deep", "deep"))
        town.refused("maildomain", "deep", "DomainAccepted", "HostNotAServer")
        town.refused("mailbox", "deep", "Published", "DomainNotReady")
        assert not {key for key in town.mail() - before if "deep" in key}
        town.remove("mailbox", "deep")
        town.remove("maildomain", "deep", "middle")

    def test_30_served_by_one_of_another_namespace(self, town: Town) -> None:
        """The reference has no namespace, and a name is looked up in the MailDomain's own."""
        other = f"{NAMESPACE}-other"
        town.server.kubectl("create", "namespace", other)
        town.server.apply([domain("far", "far.test")], "-n", other)
        for ref in ({"name": "far", "namespace": other}, {"name": f"{other}/far"}):
            done = town.server.try_kubectl(
                *("create", "--validate=strict", "-n", NAMESPACE, "-f", "-"),
                stdin=json.dumps(domain("near", "near.test", servedByRef=ref)),
            )
            assert done.returncode, done.stdout
        before = town.mail()
        town.apply(domain("near", "near.test", servedByRef={"name": "far"}))
        town.refused("maildomain", "near", "DomainAccepted", "HostMissing")
        assert not {key for key in town.mail() - before if "near" in key}
        town.remove("maildomain", "near")


class TestSecrets:
    """Rules 29 and 31: a Secret that is not offered for a use is not used for it."""

    @pytest.mark.parametrize("use", ["", "password", "smarthost"])
    def test_31_anothers_bucket_credentials(self, town: Town, use: str) -> None:
        keys = {"accessKeyID": town.bucket.access_key, "secretAccessKey": town.bucket.secret_key}
        town.secret("vault", {name: value.encode() for name, value in keys.items()}, use=use)
        before = town.stored()
        server = town.storage(prefix="loot", credentialsSecretRef={"name": "vault"})
        town.apply(domain("thief", "thief.test", server=server))
        words = town.refused("maildomain", "thief", "StorageReady", "SecretNotOffered")
        assert town.bucket.secret_key not in words
        assert not {key for key in town.stored() - before if "loot" in key}
        assert not {"thief-bucket"} & town.names("secret") and "thief" not in town.names("deployment")
        town.remove("maildomain", "thief")
        town.remove("secret", "vault")

    def test_31_a_secret_of_another_purpose_as_password(self, town: Town) -> None:
        town.apply(mailbox("mallory", "d", passwordSecretRef={"name": "s3", "key": "secretAccessKey"}))
        words = town.refused("mailbox", "mallory", "PasswordReady", "SecretNotOffered")
        assert town.bucket.secret_key not in words
        town.wait("an entry", lambda: town.seen_by_a_pod("mallory@d.test") is not None)
        entry = town.seen_by_a_pod("mallory@d.test")
        assert entry is not None and entry.verifiers == (), "nobody can log in with it"
        town.remove("mailbox", "mallory")

    def test_29_a_certificate_in_a_secret_of_another_type(self, town: Town) -> None:
        stolen = pair("mail.tls.test")
        town.secret("plain", {"tls.crt": stolen.certificate, "tls.key": stolen.key}, use="password")
        town.apply(domain("tls", "tls.test", servedByRef={"name": "d"}, tls={"secretRef": {"name": "plain"}}))
        town.refused("maildomain", "tls", "CertificateReady", "SecretNotOffered")
        packed = [raw["data"] for raw in town.listed("secret") if raw["metadata"]["name"].startswith("d-keys-")]
        assert packed and not any("tls.test.key" in data or "tls.test.crt" in data for data in packed)
        assert base64.b64encode(stolen.key).decode() not in json.dumps(packed)
        town.remove("maildomain", "tls")
        town.remove("secret", "plain")

    def test_31_the_name_of_a_generated_password_is_taken(self, town: Town) -> None:
        """By one with a known password, labelled as if it had been generated."""
        town.secret("carol-password", {"password": b"known to mallory"}, use="password")
        planted = town.get("secret", "carol-password")
        town.apply(mailbox("carol", "d"))
        town.refused("mailbox", "carol", "PasswordReady", "SecretNameTaken")
        town.wait("an entry", lambda: town.seen_by_a_pod("carol@d.test") is not None)
        entry = town.seen_by_a_pod("carol@d.test")
        assert entry is not None and entry.verifiers == ()
        assert town.get("secret", "carol-password") == planted, "it was not written either"
        town.remove("mailbox", "carol")
        town.remove("secret", "carol-password")

    @pytest.mark.parametrize(
        ("name", "type", "reason"),
        [("named-bucket", "StorageReady", "SecretNameTaken"), ("named-keys", "CertificateReady", "SecretNameTaken")],
    )
    def test_31_the_name_of_a_servers_secret_is_taken(self, town: Town, name: str, type: str, reason: str) -> None:
        """One that mallory can read, for bucket credentials and private keys to be written into."""
        taken = [name] if name.endswith("bucket") else [f"{name}-{number:02}" for number in range(16)]
        for each in taken:
            town.secret(each, {"mine": b"mallory's"})
        planted = [town.get("secret", each) for each in taken]
        town.apply(domain("named", "named.test", server=town.storage(prefix="named")))
        town.refused("maildomain", "named", type, reason)
        assert [town.get("secret", each) for each in taken] == planted
        town.remove("maildomain", "named")
        town.remove("secret", *taken)


@pytest.fixture(scope="module")
def held(town: Town) -> Iterator[set[str]]:
    """The prefix team/mail is another MailDomain's; the claims that there are."""
    town.apply(domain("holder", "holder.test", server=town.storage(prefix="team/mail")))
    town.wait_ready("holder", kind="maildomain", type="StorageReady")
    town.apply(mailbox("henry", "holder"))
    town.wait_ready("henry")
    yield town.claims()
    town.remove("mailbox", "henry")
    town.remove("maildomain", "holder")


class TestPrefixes:
    """Rule 32."""

    @pytest.mark.parametrize("prefix", ["team", "team/mail", "team/mail/directory", "team/mail/x", None, NAMESPACE])
    def test_32_a_prefix_that_overlaps(self, town: Town, held: set[str], prefix: str | None) -> None:
        before = town.mail()
        town.apply(domain("thief", "thief.test", server=town.storage(prefix=prefix)), mailbox("eve", "thief"))
        town.refused("maildomain", "thief", "StorageReady", "PrefixClaimed")
        town.refused("mailbox", "eve", "Published", "DomainNotReady")
        assert town.mail() == before
        assert town.claims() == held, "nor is a claim left"
        assert "thief" not in town.names("deployment")
        town.remove("mailbox", "eve")
        town.remove("maildomain", "thief")

    @pytest.mark.parametrize(
        "prefix",
        ["team%2Fmail", "team//mail", "team/./mail", "team/mail/", "/team/mail", "team/x/../mail", ".mailpod", ""],
    )
    def test_32_the_same_prefix_in_another_spelling(self, town: Town, prefix: str) -> None:
        words = town.server.refusal(domain("thief", "thief.test", server=town.storage(prefix=prefix)))
        assert "spec.server.storage.prefix" in words

    def test_32_a_claim_is_taken_over_by_annotation_alone(self, town: Town, held: set[str]) -> None:
        """And only by one that names its holder, which the condition does for who may."""
        thief = domain("thief", "thief.test", server=town.storage(prefix="team/mail"))
        claim = next(key for key in held if "team" in key)
        before = town.s3.get_object(Bucket=town.place, Key=claim)["Body"].read()
        wrong = ["", "true", f"test-cluster/{NAMESPACE}/d", f"other/{NAMESPACE}/holder"]
        for annotation in (None, *wrong):
            told = {} if annotation is None else {"annotations": {"mailpod.dev/take-over-storage": annotation}}
            town.apply(thief | {"metadata": {"name": "thief", **told}})
            words = town.refused("maildomain", "thief", "StorageReady", "PrefixClaimed")
            assert f"test-cluster/{NAMESPACE}/holder" in words
            assert town.s3.get_object(Bucket=town.place, Key=claim)["Body"].read() == before
            town.remove("maildomain", "thief")


class TestEndpoints:
    """Rule 32."""

    @pytest.mark.parametrize(
        "url",
        [
            "https://kubernetes.default.svc",
            "https://vault.secrets.svc.cluster.local:8200",
            "https://kubernetes",
            "http://s3.example.com",
            "http://kubernetes.default.svc",
            "https://localhost",
            "https://[::1]",
            "https://2852039166",
            "https://[::ffff:169.254.169.254]",
        ],
    )
    def test_32_an_endpoint_inside(self, town: Town, url: str) -> None:
        town.apply(domain("thief", "thief.test", server=town.storage(prefix="loot", endpoint=url)))
        town.refused("maildomain", "thief", "StorageReady", "EndpointRefused")
        assert "thief-bucket" not in town.names("secret") and "thief" not in town.names("deployment")
        town.remove("maildomain", "thief")

    @pytest.mark.parametrize("url", ["https://169.254.169.254", "http://169.254.170.2", "https://[fe80::1]"])
    def test_32_a_link_local_endpoint_is_refused_by_the_api_server(self, town: Town, url: str) -> None:
        assert "link-local" in town.server.refusal(
            domain("thief", "thief.test", server=town.storage(prefix="loot", endpoint=url))
        )

    def test_32_an_endpoint_that_redirects_inside(self, town: Town) -> None:
        inside: Server
        with serving() as inside, serving(status=307, location=f"http://localhost:{inside.port}/latest") as outside:
            url = f"http://127.0.0.1:{outside.port}"
            town.apply(domain("thief", "thief.test", server=town.storage(prefix="loot", endpoint=url)))
            town.refused("maildomain", "thief", "StorageReady", "EndpointRedirects")
            town.remove("maildomain", "thief")
            assert outside.asked and inside.asked == []


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
