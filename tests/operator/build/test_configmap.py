"""pod.json is what the pod itself accepts."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.operator.build.domains import BUCKET, INPUTS, KEY, child, domain

from mailoperator.build.budgets import budgets
from mailoperator.build.inputs import BucketInputs, BuildInputs
from mailoperator.keysecrets import label_of
from mailpod.config import EXPECTED, PodSettings, digest, parse


def _settings(inputs: BuildInputs = INPUTS, **spec: Any) -> PodSettings:
    return parse(child("ConfigMap", domain(**spec), inputs)["data"]["pod.json"])


def test_the_pod_accepts_it() -> None:
    settings = _settings()

    assert settings.hostname == "mail.example.com"
    assert settings.directory_keys == [KEY]
    assert str(settings.keys) == "/etc/mailpod/keys"
    assert settings.default_certificate == "example.com"
    assert str(settings.bucket.credentials_file) == "/etc/mailpod/bucket/credentials"


def test_pods_are_told_which_settings_are_theirs() -> None:
    """A kubelet may mount older ones for a while (mailpod/expected.py)."""
    text = child("ConfigMap", domain())["data"]["pod.json"]
    container = child("Deployment", domain())["spec"]["template"]["spec"]["containers"][0]
    told = {variable["name"]: variable.get("value") for variable in container["env"]}

    assert told[EXPECTED] == digest(text.encode())


def test_the_default_certificate_is_called_as_its_file_is() -> None:
    long = ".".join(["a" * 60] * 4)

    assert _settings(domainName=long, hostname="mail.example.com").default_certificate == label_of(long) != long


def test_it_listens_where_services_and_probes_look() -> None:
    container = child("Deployment", domain())["spec"]["template"]["spec"]["containers"][0]
    offered = {port["containerPort"] for port in container["ports"] if port["protocol"] == "TCP"}

    assert {listener.port for listener in _settings().listeners} == offered
    assert offered == {10025, 10465, 10587, 10143, 10993, 10110, 10995, 10443, 18080}


def test_no_secret_is_in_it() -> None:
    text = child("ConfigMap", domain())["data"]["pod.json"]

    assert "accessKey" not in text and "password" not in text


def test_the_largest_message_of_all_served_domains() -> None:
    assert _settings().smtp.max_message_bytes == 50 << 20
    assert _settings(maxMessageSize="80Mi").smtp.max_message_bytes == 80 << 20
    assert _settings(inputs=replace(INPUTS, largest_message=90 << 20)).smtp.max_message_bytes == 90 << 20


def test_grace_is_the_installations() -> None:
    assert _settings(inputs=replace(INPUTS, grace_seconds=60)).store.grace == 60
    assert _settings().store.grace == PodSettings(bucket={"url": "memory:"}).store.grace


@pytest.mark.parametrize(
    ("limit", "share"), [("4Gi", 1), ("1Gi", 1), ("512Mi", 0.5), ("256Mi", 0.25), (None, 1), ("1E", 1)]
)
def test_memory_budgets_follow_the_limit(limit: str | None, share: float) -> None:
    room = budgets({"limits": {"memory": limit}} if limit else {})

    assert room.messages == (512 << 20) * share
    assert room.pages == (96 << 20) * share
    assert room.texts == (64 << 20) * share


@pytest.mark.parametrize(
    ("bucket", "query"),
    [
        (BUCKET, {"endpoint": ["https://s3.example.net:8443"], "region": ["eu-west-1"]}),
        (BucketInputs("mail"), {}),
    ],
)
def test_the_buckets_url(bucket: BucketInputs, query: dict[str, list[str]]) -> None:
    parts = urlsplit(bucket.url())

    assert parts.netloc == "mail"
    assert parts.path.strip("/") == bucket.prefix
    assert parse_qs(parts.query) == query


@given(
    endpoint=st.from_regex(r"https?://[a-z0-9.]{1,20}(:[0-9]{1,4})?", fullmatch=True),
    prefix=st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,9}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,9})?", fullmatch=True),
)
def test_a_url_says_what_was_put_into_it(endpoint: str, prefix: str) -> None:
    parts = urlsplit(BucketInputs("mail", prefix, endpoint).url())

    assert parts.path == f"/{prefix}"
    assert parse_qs(parts.query) == {"endpoint": [endpoint]}


def test_other_domains_are_found_and_trusted_as_written() -> None:
    plain = _settings()
    assert (plain.dns.resolver, plain.dns.trusted, plain.tls_policy.mta_sts, plain.tls_policy.dane) == (
        None,
        False,
        True,
        False,
    )
    assert plain.tls_policy.report and plain.authres.report
    written = {"resolver": "192.0.2.1:53", "mtaSts": "Disabled", "dane": "Enabled", "tlsReports": "Disabled"}
    written["dmarcReports"] = "Disabled"
    told = _settings(outbound=written)
    assert not told.tls_policy.report and not told.authres.report
    assert (told.dns.resolver, told.dns.trusted, told.tls_policy.mta_sts, told.tls_policy.dane) == (
        "192.0.2.1:53",
        True,
        False,
        True,
    )


def test_a_smarthosts_credentials_are_mounted_by_name() -> None:
    smarthost = {"host": "relay.example.com", "port": 2525, "credentialsSecretRef": {"name": "relay"}}
    outbound = {"smarthost": smarthost, "expireAfterHours": 24, "delayNoticeAfterHours": 1}
    told = _settings(outbound=outbound).outbound
    assert told.smarthost is not None
    assert (told.smarthost.host, told.smarthost.port, told.smarthost.tls) == ("relay.example.com", 2525, "starttls")
    assert (told.expiry, told.delay_notice) == (86400, 3600)
    spec = child("Deployment", domain(outbound=outbound))["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["smarthost"] == str(told.smarthost.credentials)
    assert "relay" in [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]


def test_the_schedule_is_told() -> None:
    told = _settings(outbound={"firstRetryMinutes": 1, "longestRetryMinutes": 60}).outbound
    assert (told.retry_first, told.retry_longest) == (60, 3600)
    usual = _settings().outbound
    assert usual == type(usual)()


def test_what_clients_may_do_is_told() -> None:
    limits = {"blocklists": ["dnsbl.example"], "clientRecipientsPerHour": 500}
    told = parse(child("ConfigMap", domain(limits))["data"]["pod.json"]).smtp
    assert (told.blocklists, told.max_client_recipients_per_hour) == (["dnsbl.example"], 500)


def test_the_spam_filter_is_told() -> None:
    asked = {"url": "http://rspamd.filters:11333", "onFailure": "Defer"}
    filtered = {"rspamd": asked, "networkPolicy": "Enabled"}
    told = parse(child("ConfigMap", domain(filtered))["data"]["pod.json"]).rspamd
    assert (told.url, told.on_failure, told.learn_url) == ("http://rspamd.filters:11333", "defer", None)
    assert {"port": 11333, "protocol": "TCP"} in child("NetworkPolicy", domain(filtered))["spec"]["egress"][1]["ports"]


def test_who_learns_what_is_junk_is_told() -> None:
    asked = {"url": "http://rspamd.filters:11333", "controllerUrl": "http://rspamd.filters:11334"}
    filtered = {"rspamd": asked, "networkPolicy": "Enabled"}
    assert parse(child("ConfigMap", domain(filtered))["data"]["pod.json"]).rspamd.learn_url == asked["controllerUrl"]
    out = child("NetworkPolicy", domain(filtered))["spec"]["egress"][1]["ports"]
    assert {11333, 11334} <= {port["port"] for port in out}
