"""What the operator tells Prometheus: of its own work, and of what it remembers of the cluster."""

from __future__ import annotations

import subprocess

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.harness.need import need
from tests.operator.fakekube import Raw
from tests.operator.plane import domain, mailbox

from mailoperator.metrics import API_REQUESTS, REGISTRY
from mailoperator.world import World
from mailoperator.worldmetrics import told


def with_status(raw: Raw, **status: object) -> Raw:
    return raw | {"status": status}


def ready(status: str) -> list[Raw]:
    return [{"type": "Ready", "status": status, "reason": "AsWanted"}]


@pytest.fixture
def world() -> World:
    found = World()
    records = [
        {"type": "TXT", "name": "a._domainkey.host.test", "value": "v=DKIM1", "resolves": "False"},
        {"type": "MX", "name": "host.test", "value": "10 mail.host.test.", "resolves": "True"},
    ]
    found.put(with_status(domain("host", "host.test"), conditions=ready("True"), dnsRecords=records))
    found.put(domain("new", "new.test"))
    full = {"conditions": ready("False"), "usage": {"bytes": "91Mi", "messages": 1}, "quota": "100Mi"}
    found.put(with_status(mailbox("full", "host"), **full))
    found.put(with_status(mailbox("idle", "host"), conditions=ready("True"), usage={"bytes": "1Mi", "messages": 1}))
    return found


def test_domains_have_series_and_mailboxes_are_counted(world: World) -> None:
    registry = CollectorRegistry()
    host = {"maildomain_namespace": "n", "maildomain": "host"}
    with told(world, registry):

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"mailpod_operator_{name}", labels)

        assert value("domain_condition", **host, condition="Ready") == 1
        assert value("domain_condition", **host, condition="DNSReady") == -1
        assert value("domain_condition", maildomain_namespace="n", maildomain="new", condition="Ready") == -1
        assert value("mailboxes", ready="False") == value("mailboxes", ready="True") == 1
        assert value("mailboxes_near_quota", **host) == 1
        assert value("domain_used_bytes", **host) == 92 * 1024 * 1024
        assert value("dns_records_missing", **host, type="DKIM") == 1
        assert value("dns_records_missing", **host, type="MX") == 0
        assert value("dns_records", **host, resolves="True") == value("dns_records", **host, resolves="False") == 1
        assert value("dns_records", **host, resolves="Unknown") == 0
    assert not generate_latest(registry)


def test_a_pods_metrics_are_not_among_them() -> None:
    names = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    assert "mailpod_operator_queue" in names
    assert not [name for name in names if name.startswith("mailpod_") and not name.startswith("mailpod_operator_")]


def test_promtool_finds_nothing_in_them(world: World) -> None:
    API_REQUESTS.labels("GET", 200).inc()
    with told(world):
        text = generate_latest(REGISTRY)
    check = subprocess.run([need("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
