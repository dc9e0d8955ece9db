"""Buckets: which endpoints, credentials and lifecycles are taken, and what is made of a real server's bucket."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures_seaweed import Seaweed

from mailoperator import lifecycle
from mailoperator.bucket import BucketAdmin, Target, Unusable
from mailoperator.credentials import Credentials, parse_credentials
from mailoperator.endpoint import REFUSED, UNRESOLVED, EndpointRefused, check_endpoint

NAMES = {
    "s3.example.com": ["203.0.113.7"],
    "sly.example.com": ["203.0.113.7", "169.254.169.254"],
    "home.example.com": ["127.0.0.1"],
    "api.example.com": ["10.96.0.1"],
    "trial.mailpod.svc": ["10.96.7.7"],
    "localhost": ["127.0.0.1"],
}


async def resolver(host: str) -> list[str]:
    return NAMES.get(host, [host] if host[:1].isdigit() or ":" in host else [])


@pytest.mark.parametrize("url", ["https://s3.example.com", "https://s3.example.com:9000/", "https://10.1.2.3", None])
async def test_good_endpoints(url: str | None) -> None:
    await check_endpoint(url, resolver=resolver, environment={})


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.example.com",
        "https://user:secret@s3.example.com",
        "https://s3.example.com/path",
        "https://s3.example.com?x=1",
        "ftp://s3.example.com",
        "https://",
        "https://s3.example.com:99999",
        "https://169.254.169.254",
        "https://[fe80::1]",
        "https://[::ffff:169.254.169.254]",
        "https://[64:ff9b::a9fe:a9fe]",
        "https://[fd00:ec2::254]",
        "https://0.0.0.0",
        "https://127.0.0.1",
        "https://[::1]",
        "https://localhost",
        "https://sly.example.com",
        "https://home.example.com",
        "https://api.example.com",
        "https://trial.mailpod.svc",
        "https://trial.mailpod.svc.cluster.local.",
        "https://kubernetes",
    ],
)
async def test_refused_endpoints(url: str) -> None:
    with pytest.raises(EndpointRefused) as refused:
        await check_endpoint(url, resolver=resolver, environment={"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert refused.value.reason == REFUSED and "secret" not in str(refused.value)


async def test_an_allowed_host_may_be_inside_and_never_link_local() -> None:
    await check_endpoint("http://trial.mailpod.svc:8333", ["trial.mailpod.svc"], resolver=resolver)
    await check_endpoint("http://127.0.0.1:8333", ["127.0.0.1"], resolver=resolver)
    for host in ("169.254.169.254", "sly.example.com"):
        with pytest.raises(EndpointRefused):
            await check_endpoint(f"http://{host}", [host], resolver=resolver)
    with pytest.raises(EndpointRefused) as refused:
        await check_endpoint("https://nowhere.example.com", resolver=resolver)
    assert refused.value.reason == UNRESOLVED


PLAIN = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@given(PLAIN, PLAIN, st.one_of(st.just(""), PLAIN))
def test_credentials_come_back_from_each_form_and_are_never_shown(access: str, secret: str, token: str) -> None:
    made = Credentials(access, secret, token)
    values = {"accessKeyID": access, "secretAccessKey": secret} | ({"sessionToken": token} if token else {})
    assert parse_credentials({key: f" {text}\n".encode() for key, text in values.items()}) == made
    assert parse_credentials({"credentials": made.file().encode()}) == made
    assert repr(made) == "Credentials()"


@given(st.dictionaries(st.sampled_from(["accessKeyID", "secretAccessKey", "credentials", "x"]), st.binary(max_size=60)))
def test_any_secret_is_credentials_or_a_value_error(values: dict[str, bytes]) -> None:
    try:
        found = parse_credentials(values)
    except ValueError as error:
        assert len(str(error)) < 120
    else:
        assert found.access_key_id and "\n" not in found.secret_access_key


def rule(**fields: Any) -> dict[str, Any]:
    return {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}} | fields


@pytest.mark.parametrize(
    ("one", "refused"),
    [
        (rule(Expiration={"Days": 30}), True),
        (rule(Expiration={"Days": 30}, Status="Disabled"), False),
        (rule(Expiration={"Days": 30}, Filter={"Prefix": "logs/"}), False),
        (rule(Expiration={"Days": 30}, Filter={"Prefix": "mail/accounts"}), True),
        (rule(Expiration={"Days": 30}, Filter={"Prefix": "ma"}), True),
        (rule(Expiration={"Days": 30}, Filter={"Tag": {"Key": "a", "Value": "b"}}), False),
        (rule(Expiration={"Date": "2030-01-01"}, Filter={}, Prefix="mail/"), True),
        (rule(Expiration={"ExpiredObjectDeleteMarker": True}), False),
        (rule(Transitions=[{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]), True),
        (rule(Transitions=[{"Days": 1, "StorageClass": "STANDARD_IA"}]), False),
        (rule(NoncurrentVersionExpiration={"NoncurrentDays": 1}), False),
    ],
)
def test_lifecycles_that_take_mail_away(one: dict[str, Any], refused: bool) -> None:
    assert bool(lifecycle.harmful([one], "mail")) == refused


def test_our_rule_is_added_once_and_others_stay() -> None:
    theirs = rule(NoncurrentVersionExpiration={"NoncurrentDays": 1})
    rules = lifecycle.merged([theirs], "mail")
    assert rules is not None and rules[0] == theirs
    assert lifecycle.merged(rules, "mail") is None
    assert lifecycle.harmful(rules, "mail") == []


def target(seaweed: Seaweed, bucket: str, **more: Any) -> Target:
    return Target(bucket, "deep/mail", seaweed.endpoint, seaweed.region, **more)


def key(seaweed: Seaweed) -> Credentials:
    return Credentials(seaweed.access_key, seaweed.secret_key)


def client(seaweed: Seaweed) -> Any:
    return boto3.client(
        "s3", endpoint_url=seaweed.endpoint, aws_access_key_id=seaweed.access_key,
        aws_secret_access_key=seaweed.secret_key, region_name=seaweed.region,
    )  # fmt: skip


async def test_a_bucket_is_made_and_set_up_once(seaweed: Seaweed) -> None:
    admin = BucketAdmin(target(seaweed, "made-here"), key(seaweed))
    first = await admin.ensure()
    assert first.problems == [] and "bucket" in first.written
    assert (await BucketAdmin(target(seaweed, "made-here"), key(seaweed)).ensure()).written == []
    assert client(seaweed).get_bucket_versioning(Bucket="made-here")["Status"] == "Enabled"


async def test_an_adopted_bucket_is_left_as_it_is(seaweed: Seaweed) -> None:
    missing = await BucketAdmin(target(seaweed, "not-there", create=False), key(seaweed)).ensure()
    assert [one.reason for one in missing.problems] == ["BucketMissing"]
    name = seaweed.new_bucket()
    report = await BucketAdmin(target(seaweed, name, create=False), key(seaweed)).ensure()
    assert report.problems == [] and report.written == []
    assert "NotVersioned" in [note.reason for note in report.notes]


async def test_wrong_credentials_and_a_server_that_is_away_are_told_without_secrets(seaweed: Seaweed) -> None:
    wrong = Credentials(seaweed.access_key, "wrong-secret")
    with pytest.raises(Unusable) as refused:
        await BucketAdmin(target(seaweed, "mail"), wrong).ensure()
    assert refused.value.finding.reason == "AccessDenied"
    with pytest.raises(Unusable) as away:
        await BucketAdmin(Target("mail", "", "http://127.0.0.1:9", "us-east-1"), wrong).ensure()
    assert away.value.finding.reason == "BucketUnavailable"
    for error in (refused, away):
        assert "wrong-secret" not in str(error.value) and seaweed.access_key not in str(error.value)


async def test_old_versions_and_markers_are_erased_below_the_prefix_only(seaweed: Seaweed) -> None:
    admin, s3 = BucketAdmin(target(seaweed, "versions-go"), key(seaweed)), client(seaweed)
    await admin.ensure()
    for name in ("deep/mail/accounts/a/1", "deep/mail/accounts/a/2", "deep/mail/accounts/b/1"):
        for text in (b"one", b"two"):
            s3.put_object(Bucket="versions-go", Key=name, Body=text)
        s3.delete_object(Bucket="versions-go", Key=name)
    await admin.erase("accounts/a/")
    left = s3.list_object_versions(Bucket="versions-go", Prefix="deep/mail/")
    names = {one["Key"] for kind in ("Versions", "DeleteMarkers") for one in left.get(kind, [])}
    assert names == {"deep/mail/accounts/b/1"}
