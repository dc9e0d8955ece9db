"""What changes the pod template, and so restarts every pod, and what must not (OPERATOR.md rule 9)."""

from dataclasses import replace
from typing import Any

import pytest
from tests.operator.build.domains import BUCKET, INPUTS, child, domain, with_apis

from mailoperator.build.inputs import BuildInputs
from mailoperator.model import MailDomain


def _template(of: MailDomain, inputs: BuildInputs = INPUTS) -> Any:
    return child("Deployment", of, inputs)["spec"]["template"]


@pytest.mark.parametrize(
    "spec",
    [
        {"aliasDomains": ["example.org"]},
        {"postmasterRef": {"name": "alice"}},
        {"allowedReservedLocalParts": ["admin"]},
        {"mailboxDefaults": {"quota": {"storage": "1Gi"}, "protocols": ["IMAP"]}},
        {"tls": {"secretRef": {"name": "other"}}},
        {"tls": {"issuerRef": {"name": "letsencrypt"}}},
        {"maxMessageSize": "10Mi"},
    ],
)
def test_these_restart_no_pod(spec: dict[str, Any]) -> None:
    assert _template(domain({}, **spec)) == _template(domain({}))


@pytest.mark.parametrize(
    "server",
    [
        {"replicas": 9},
        {"autoscaling": {"maxReplicas": 3}},
        {"service": {"type": "LoadBalancer", "annotations": {"a": "b"}}},
        {"networkPolicy": "Enabled"},
        {"monitoring": {"podMonitor": "Enabled"}},
    ],
)
def test_nor_do_these_of_the_server(server: dict[str, Any]) -> None:
    inputs = with_apis("monitoring.coreos.com/v1")
    assert _template(domain(server), inputs) == _template(domain({}))


@pytest.mark.parametrize(
    ("server", "spec"),
    [
        ({"image": "mailpod:2"}, {}),
        ({"podTemplate": {"resources": {"limits": {"memory": "2Gi"}}}}, {}),
        ({"podTemplate": {"resources": {"limits": {"memory": "512Mi"}}}}, {}),
        ({"podTemplate": {"labels": {"team": "mail"}}}, {}),
        ({}, {"hostname": "mx.example.com"}),
        ({}, {"maxMessageSize": "100Mi"}),
    ],
)
def test_these_do(server: dict[str, Any], spec: dict[str, Any]) -> None:
    assert _template(domain(server, **spec)) != _template(domain({}))


@pytest.mark.parametrize(
    "inputs",
    [
        replace(INPUTS, image="mailpod:2"),
        replace(INPUTS, bucket=replace(BUCKET, prefix="elsewhere")),
        replace(INPUTS, bucket=replace(BUCKET, endpoint="https://other.example.net")),
        replace(INPUTS, bucket=replace(BUCKET, credentials_secret="other")),
        replace(INPUTS, directory_keys=(*INPUTS.directory_keys, "A" * 43 + "=")),
        replace(INPUTS, largest_message=200 << 20),
        replace(INPUTS, grace_seconds=60),
    ],
)
def test_so_do_these_inputs(inputs: BuildInputs) -> None:
    assert _template(domain({}), inputs) != _template(domain({}))
