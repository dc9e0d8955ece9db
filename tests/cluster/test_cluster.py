"""The cluster does what a real one does, shown with the real mail pod under the `restricted` Pod Security level."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.cluster.fixtures import Cluster
from tests.cluster.versions import HELM, KUBERNETES

pytestmark = pytest.mark.cluster

CONFIG = {
    "bucket": {"url": "memory:"},
    "listeners": [
        {"protocol": "smtp", "role": "mx", "port": 10025, "tls": "none"},
        {"protocol": "http", "port": 18080, "tls": "none"},
    ],
}


def locked_down(**container: Any) -> dict[str, Any]:
    """A pod's spec with one container that may do nothing."""
    nothing = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "main", "securityContext": nothing, **container}],
    }


def mail(image: str, replicas: int = 2) -> list[dict[str, Any]]:
    """A ConfigMap, a Deployment and a Service of mail pods on an empty bucket in memory."""
    labels = {"app": "mail"}
    spec = locked_down(
        image=image,
        ports=[{"containerPort": 10025}],
        readinessProbe={"tcpSocket": {"port": 10025}, "periodSeconds": 1},
        resources={"limits": {"memory": "256Mi"}},
        volumeMounts=[{"name": "config", "mountPath": "/etc/mailpod"}],
    )
    spec["volumes"] = [{"name": "config", "configMap": {"name": "mail"}}]
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return [
        _object("v1", "ConfigMap", data={"pod.json": json.dumps(CONFIG)}),
        _object("apps/v1", "Deployment", spec=deployment),
        _object("v1", "Service", spec={"selector": labels, "ports": [{"port": 25, "targetPort": 10025}]}),
    ]


def _object(version: str, kind: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "mail"}, **content}


def until(ask: Callable[[], str]) -> str:
    """What `ask` returns once it succeeds: a Service follows its pods' readiness by a second."""
    for _ in range(20):
        try:
            return ask()
        except AssertionError:
            time.sleep(0.5)
    return ask()


def test_it_has_the_versions_that_are_pinned(cluster: Cluster) -> None:
    if cluster.running is None:
        pytest.skip("another's cluster")
    assert cluster.get("nodes")["items"][0]["status"]["nodeInfo"]["kubeletVersion"] == f"v{KUBERNETES}"
    assert cluster.helm("version", "--short").startswith(f"v{HELM}")


def test_mail_pods_serve_through_a_service(cluster: Cluster, namespace: str) -> None:
    began = time.monotonic()
    cluster.apply(mail(cluster.mailpod), "-n", namespace)
    cluster.wait_rollout(namespace, "deployment/mail")
    print(f"two replicas after {time.monotonic() - began:.1f} s")

    # a pod finds the Service by its name and meets a mail server there
    ask = (
        "import smtplib; s = smtplib.SMTP('mail', 25, timeout=10); print(s.ehlo()[0], s.mail('a@example.org')[0],"
        " s.rcpt('nobody@example.net')[0])"
    )
    said = until(lambda: cluster.kubectl("-n", namespace, "exec", "deployment/mail", "--", "python3", "-c", ask))
    assert said.split()[0] == "250"
    assert said.split()[2][0] in "45", "nobody lives here"

    logs = cluster.kubectl("-n", namespace, "logs", "deployment/mail")
    assert json.loads(logs.splitlines()[0])["event"] == "pod.started"

    pods = cluster.get("pods", "-n", namespace)["items"]
    assert len({pod["status"]["podIP"] for pod in pods}) == 2
    assert all(status["restartCount"] == 0 for pod in pods for status in pod["status"]["containerStatuses"])


def test_programs_of_this_machine_reach_services_by_name(cluster: Cluster, namespace: str) -> None:
    if cluster.running is None:
        pytest.skip("another's cluster: its Services are not reached from here")
    cluster.apply(mail(cluster.mailpod, replicas=1), "-n", namespace)
    cluster.wait_rollout(namespace, "deployment/mail")
    ask = f"import smtplib; print(smtplib.SMTP('mail.{namespace}.svc.cluster.local', 25, timeout=10).ehlo()[0])"
    assert until(lambda: cluster.run("python3", "-c", ask).stdout).strip() == "250"


def test_a_pod_may_do_nothing_that_it_need_not(cluster: Cluster, namespace: str) -> None:
    cluster.apply(mail(cluster.mailpod, replicas=1), "-n", namespace)
    cluster.wait_rollout(namespace, "deployment/mail")
    look = (
        "import os, errno, pathlib\n"
        "status = dict(l.split(':', 1) for l in pathlib.Path('/proc/self/status').read_text().splitlines())\n"
        "try: pathlib.Path('/opt/x').touch()\n"
        "except OSError as error: print(errno.errorcode[error.errno])\n"
        "print(os.getuid(), os.getgid(), *(status[k].strip() for k in ('CapBnd', 'NoNewPrivs', 'Seccomp')))\n"
    )
    answer = cluster.kubectl("-n", namespace, "exec", "deployment/mail", "--", "python3", "-c", look)
    assert answer.split() == ["EROFS", "65532", "65532", "0000000000000000", "1", "2"]


def test_a_pod_that_asks_for_more_is_refused(cluster: Cluster, namespace: str) -> None:
    pod = _object("v1", "Pod", spec={"containers": [{"name": "main", "image": cluster.mailpod}]})
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        cluster.apply(pod, "-n", namespace)


def test_a_memory_limit_is_kept(cluster: Cluster, namespace: str) -> None:
    spec = locked_down(
        image=cluster.mailpod,
        command=["python3", "-c", "x = b'x' * (200 << 20)"],
        resources={"limits": {"memory": "64Mi"}},
    )
    cluster.apply(_object("v1", "Pod", spec={**spec, "restartPolicy": "Never"}), "-n", namespace)
    reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}=OOMKilled"
    cluster.kubectl("-n", namespace, "wait", "pod/mail", f"--for={reason}", "--timeout=60s")


def test_the_operators_and_the_trial_stores_images_run(cluster: Cluster, namespace: str) -> None:
    programs = {
        "operator": (cluster.operator, ["mail-operator", "--help"]),
        "weed": (cluster.weed, ["weed", "version"]),
    }
    for name, (image, command) in programs.items():
        spec = {**locked_down(image=image, command=command), "restartPolicy": "Never"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        cluster.apply(pod, "-n", namespace)
        succeeded = "jsonpath={.status.phase}=Succeeded"
        cluster.kubectl("-n", namespace, "wait", f"pod/{name}", f"--for={succeeded}", "--timeout=60s")


def test_the_api_server_can_go_and_come_back(cluster: Cluster, namespace: str) -> None:
    if cluster.running is None:
        pytest.skip("another's cluster")
    cluster.apply(mail(cluster.mailpod, replicas=1), "-n", namespace)
    cluster.wait_rollout(namespace, "deployment/mail")
    address = cluster.get("service", "mail", "-n", namespace)["spec"]["clusterIP"]
    ask = f"import smtplib; print(smtplib.SMTP('{address}', 25, timeout=10).ehlo()[0])"
    until(lambda: cluster.run("python3", "-c", ask).stdout)

    cluster.running.stop("kube-apiserver")
    try:
        with pytest.raises(AssertionError):
            cluster.kubectl("get", "nodes", "--request-timeout=5s")
        assert cluster.run("python3", "-c", ask).stdout.strip() == "250"
    finally:
        cluster.running.start("kube-apiserver")
    for _ in range(150):
        if cluster.run("kubectl", "get", "--raw", "/readyz", check=False).stdout == "ok":
            break
        time.sleep(0.2)
    assert cluster.get("nodes")["items"]


def test_a_zone_of_a_tests_own_is_served(cluster: Cluster) -> None:
    if cluster.running is None:
        pytest.skip("another's cluster")
    zone = cluster.running.folder / "zones" / "db.zone.test"
    zone.write_text(
        "$ORIGIN zone.test.\n@ 1 IN SOA ns.zone.test. admin.zone.test. 1 1 1 1 1\n  1 IN NS ns.zone.test.\n"
        "@ 1 IN MX 10 mx.zone.test.\nmx 1 IN A 192.0.2.1\n"
    )
    ask = "import dns.resolver; print(*dns.resolver.resolve('zone.test', 'MX'))"
    for _ in range(50):
        done = cluster.run(".venv/bin/python", "-c", ask, check=False)
        if done.returncode == 0:
            break
        time.sleep(0.2)
    zone.unlink()
    assert done.stdout.strip() == "10 mx.zone.test."
