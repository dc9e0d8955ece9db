"""The children that are not always there."""

from dataclasses import replace

import pytest
from tests.operator.build.domains import BUCKET, INPUTS, child, domain, kinds, with_apis

from mailoperator.build.inputs import CERTIFICATES, POD_MONITORS
from mailoperator.build.networkpolicy import bucket_port


def test_a_disruption_budget_takes_one_pod_at_a_time() -> None:
    made = child("PodDisruptionBudget", domain({"replicas": 3}))["spec"]

    assert made["maxUnavailable"] == 1
    assert made["selector"] == child("Deployment", domain())["spec"]["selector"]


def test_an_autoscaler_that_may_go_to_one_pod_has_no_disruption_budget() -> None:
    assert "PodDisruptionBudget" not in kinds(domain({"autoscaling": {"minReplicas": 1, "maxReplicas": 3}}))
    assert "PodDisruptionBudget" in kinds(domain({"autoscaling": {"maxReplicas": 3}}))


def test_the_autoscaler() -> None:
    wanted = {"minReplicas": 3, "maxReplicas": 12, "targetCPUUtilizationPercentage": 55}
    made = child("HorizontalPodAutoscaler", domain({"autoscaling": wanted}))["spec"]

    assert made["scaleTargetRef"]["name"] == child("Deployment", domain())["metadata"]["name"]
    assert (made["minReplicas"], made["maxReplicas"]) == (3, 12)
    assert made["metrics"][0]["resource"]["target"]["averageUtilization"] == 55


@pytest.mark.parametrize("resources", [{}, {"limits": {"memory": "2Gi"}}, {"requests": {"memory": "1Gi"}}])
def test_autoscaling_has_a_cpu_request_to_go_by(resources: dict[str, dict[str, str]]) -> None:
    of = domain({"autoscaling": {"maxReplicas": 3}, "podTemplate": {"resources": resources}})
    [container] = child("Deployment", of)["spec"]["template"]["spec"]["containers"]

    assert container["resources"]["requests"]["cpu"] == "100m"


def test_the_network_policy_lets_in_mail_and_hints_only_from_pods() -> None:
    made = child("NetworkPolicy", domain({"networkPolicy": "Enabled"}))["spec"]
    open_to_all = {port["port"] for rule in made["ingress"] if "from" not in rule for port in rule["ports"]}
    [hints] = [rule for rule in made["ingress"] if {"port": 10_099, "protocol": "UDP"} in rule["ports"]]

    assert open_to_all == {10025, 10465, 10587, 10143, 10993, 10110, 10995, 10443}
    assert hints["from"] == [{"podSelector": made["podSelector"]}]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [(None, 443), ("https://s3.test", 443), ("http://s3.test", 80), ("http://s3.test:8333", 8333)],
)
def test_the_way_to_the_bucket_is_open(endpoint: str | None, port: int) -> None:
    inputs = replace(INPUTS, bucket=replace(BUCKET, endpoint=endpoint))
    made = child("NetworkPolicy", domain({"networkPolicy": "Enabled"}), inputs)["spec"]

    assert bucket_port(endpoint) == port
    assert {"port": port, "protocol": "TCP"} in made["egress"][-1]["ports"]


def test_the_pod_monitor_scrapes_a_port_that_exists() -> None:
    of = domain({"monitoring": {"podMonitor": "Enabled"}})
    [endpoint] = child("PodMonitor", of, with_apis(POD_MONITORS))["spec"]["podMetricsEndpoints"]
    container = child("Deployment", of)["spec"]["template"]["spec"]["containers"][0]

    assert endpoint["port"] in {port["name"] for port in container["ports"]}


def test_the_certificate_is_for_the_hostname() -> None:
    of = domain(hostname="mx.example.com", tls={"issuerRef": {"name": "le", "kind": "ClusterIssuer"}})
    made = child("Certificate", of, with_apis(CERTIFICATES))["spec"]

    assert made["dnsNames"] == ["mx.example.com"]
    policy = of.model_copy(update={"spec": of.spec.model_copy(update={"mta_sts_policy": "Testing"})})
    names = child("Certificate", policy, with_apis(CERTIFICATES))["spec"]["dnsNames"]
    assert names == ["mx.example.com", "mta-sts.example.com"]
    assert made["issuerRef"] == {"name": "le", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert made["secretName"] == "example-tls"
