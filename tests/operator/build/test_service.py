"""The Services."""

from typing import Any

import pytest
from tests.operator.build.domains import child, domain

from mailpod.config import parse

STANDARD = (25, 465, 587, 143, 993, 110, 995, 443)


def _spec(service: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = child("Service", domain({"service": service}), name="example")["spec"]
    return spec


def test_standard_ports_lead_to_the_pods_ports() -> None:
    container = child("Deployment", domain())["spec"]["template"]["spec"]["containers"][0]
    inside = {port["name"]: port["containerPort"] for port in container["ports"]}

    found = {port["port"]: inside[port["targetPort"]] for port in _spec({})["ports"]}
    assert found == {port: port + 10_000 for port in STANDARD}


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_the_clients_address_is_kept_unless_told_otherwise(kind: str) -> None:
    assert _spec({"type": kind})["externalTrafficPolicy"] == "Local"
    assert _spec({"type": kind, "externalTrafficPolicy": "Cluster"})["externalTrafficPolicy"] == "Cluster"


def test_a_cluster_ip_has_no_traffic_policy() -> None:
    assert _spec({})["type"] == "ClusterIP"
    assert "externalTrafficPolicy" not in _spec({})


def test_what_is_written_is_there() -> None:
    written = {
        "type": "LoadBalancer",
        "annotations": {"external-dns.alpha.kubernetes.io/hostname": "mail.example.com"},
        "ipFamilies": ["IPv6", "IPv4"],
        "ipFamilyPolicy": "PreferDualStack",
        "loadBalancerClass": "example.com/lb",
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
    }
    made = child("Service", domain({"service": written}), name="example")

    assert made["metadata"]["annotations"] == written["annotations"]
    for name in written.keys() - {"annotations"}:
        assert made["spec"][name] == written[name]


def test_behind_a_proxy_there_are_ports_for_it_and_plain_ones_inside() -> None:
    behind = domain({"service": {"type": "LoadBalancer", "proxyNetworks": ["10.0.0.1/8"]}})
    [container] = child("Deployment", behind)["spec"]["template"]["spec"]["containers"]
    inside = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert all(len(name) <= 15 for name in inside)

    for name, offset in (("example", 20_000), ("example-plain", 10_000)):
        spec = child("Service", behind, name=name)["spec"]
        found = {port["port"]: inside[port["targetPort"]] for port in spec["ports"]}
        assert found == {port: port + offset for port in STANDARD}
    assert child("Service", behind, name="example-plain")["spec"]["type"] == "ClusterIP"


def test_pods_believe_the_proxys_networks_on_its_ports_alone() -> None:
    told = child("ConfigMap", domain({"service": {"proxyNetworks": ["10.0.0.1/8"]}}))["data"]["pod.json"]
    settings = parse(told)

    assert list(map(str, settings.proxy.networks)) == ["10.0.0.0/8"]
    assert {listener.port - 20_000 for listener in settings.listeners if listener.proxy} == set(STANDARD)
    assert {listener.port - 10_000 for listener in settings.listeners if not listener.proxy} == {*STANDARD, 8080}


def test_mail_servers_hand_over_by_a_service_of_their_own() -> None:
    taking = domain({"service": {"type": "LoadBalancer", "lmtpNetworks": ["10.1.2.3/8"]}, "networkPolicy": "Enabled"})
    spec = child("Service", taking, name="example-lmtp")["spec"]
    assert spec["type"] == "ClusterIP"
    assert [(port["port"], port["targetPort"]) for port in spec["ports"]] == [(24, "lmtp")]
    assert 24 not in [port["port"] for port in child("Service", taking, name="example")["spec"]["ports"]]

    settings = parse(child("ConfigMap", taking)["data"]["pod.json"])
    assert [listener.port for listener in settings.listeners if listener.protocol == "lmtp"] == [10_024]
    assert list(map(str, settings.lmtp.networks)) == ["10.0.0.0/8"]

    allowed = [rule for rule in child("NetworkPolicy", taking)["spec"]["ingress"] if "10024" in str(rule)]
    assert allowed == [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 10_024, "protocol": "TCP"}]}]


def test_without_one_nobody_hands_over() -> None:
    settings = parse(child("ConfigMap", domain())["data"]["pod.json"])
    assert "lmtp" not in {listener.protocol for listener in settings.listeners}


def test_the_headless_one_finds_every_pod_for_hints() -> None:
    spec = child("Service", domain({"service": {"type": "LoadBalancer"}}), name="example-pods")["spec"]

    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert [(port["port"], port["protocol"]) for port in spec["ports"]] == [(10_099, "UDP")]
    assert "externalTrafficPolicy" not in spec
