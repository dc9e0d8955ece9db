"""The attacks of OPERATOR.md's rules 29 to 32 on the real operator, API server and bucket.

Each must be refused with its reason, and leave the attacker with nothing: no object in the bucket, no Secret, no
Deployment, and the victims as they were. What needs none of the three is in tests/operator/test_attacks*.py.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import pytest
from tests.apiserver.attacked import Town, alice, town
from tests.apiserver.operatorrun import domain, mailbox
from tests.charts.rendered import render
from tests.operator.keykit import pair
from tests.operator.test_attacks_endpoint import Server, serving

__all__ = ["alice", "town"]

pytestmark = pytest.mark.cluster

NAMESPACE = "attacked"


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
        [("stored-bucket", "StorageReady", "SecretNameTaken"), ("named-keys", "CertificateReady", "SecretNameTaken")],
    )
    def test_31_the_name_of_a_servers_secret_is_taken(self, town: Town, name: str, type: str, reason: str) -> None:
        """One that mallory can read, for bucket credentials and private keys to be written into."""
        server = name.partition("-")[0]  # each of its own: the collector may still be at what another one left
        taken = [name] if name.endswith("bucket") else [f"{name}-{number:02}" for number in range(16)]
        for each in taken:
            town.secret(each, {"mine": b"mallory's"})
        planted = [town.get("secret", each) for each in taken]
        town.apply(domain(server, f"{server}.test", server=town.storage(prefix=server)))
        town.refused("maildomain", server, type, reason)
        assert [town.get("secret", each) for each in taken] == planted
        town.remove("maildomain", server)
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
