"""What a host and its many MailDomains share, on a real API server: certificates that are renewed, domains that go."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.apiserver.harness import ApiServer
from tests.apiserver.operatorrun import OperatorRun, Raw, domain, mailbox
from tests.fixtures_seaweed import Seaweed

from mailoperator.certificate import self_signed
from mailoperator.keysecrets import bucket_of

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"
GUESTS = 20


@pytest.fixture
def operator(apiserver: ApiServer, seaweed: Seaweed, namespace: str, tmp_path: Path) -> Iterator[OperatorRun]:
    apiserver.kubectl("apply", "--server-side", "-f", CRDS)
    with OperatorRun(apiserver, seaweed, namespace, tmp_path) as run:
        yield run


def tls_secret(name: str, certificate: bytes, key: bytes) -> Raw:
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls", "data": data}


def packed(operator: OperatorRun, host: str, domain_name: str) -> bytes:
    """The certificate that the pods are given for a domain."""
    data = operator.get("secret", f"{host}-keys-{bucket_of(domain_name):02}")["data"]
    return base64.b64decode(data[f"{domain_name}.crt"])


def test_a_renewed_certificate_is_packed_without_a_sweep(operator: OperatorRun) -> None:
    """Its Secret has the type alone, as cert-manager leaves it, and no label of ours."""
    first, second = self_signed(["mail.guest.test"]), self_signed(["mail.guest.test"])
    guest = domain("guest", "guest.test", servedByRef={"name": "host"}, tls={"secretRef": {"name": "mine"}})
    operator.apply(domain("host", "host.test"), guest)
    operator.wait(
        "told that it is missing",
        lambda: operator.condition("maildomain", "guest", "CertificateReady")["reason"] == "SecretMissing",
    )
    operator.apply(tls_secret("mine", *first))
    operator.wait_ready("guest", kind="maildomain", type="CertificateReady")
    assert packed(operator, "host", "guest.test") == first[0]
    operator.quiet()
    operator.apply(tls_secret("mine", *second))
    operator.wait("the renewed one packed", lambda: packed(operator, "host", "guest.test") == second[0], 20)


def test_a_third_of_the_domains_goes_and_nobody_has_to_approve(operator: OperatorRun) -> None:
    """They were deleted by whoever has them; a comparison that misses them afterwards would stop (rule 34)."""
    names = [f"d{number}" for number in range(GUESTS)]
    guests = [domain(name, f"{name}.test", servedByRef={"name": "host"}) for name in names]
    operator.apply(domain("host", "host.test"), *guests, *(mailbox(f"box-{name}", name) for name in names))
    operator.wait_ready(*(f"box-{name}" for name in names))
    gone, kept = names[::3], [name for name in names if name not in names[::3]]
    operator.server.kubectl("delete", "maildomain", *gone, "-n", operator.namespace)
    for name in gone:
        operator.wait(
            f"{name} withdrawn",
            lambda name=name: operator.condition("mailbox", f"box-{name}", "Ready")["reason"] == "DomainMissing",  # type: ignore[misc]
        )
    operator.wait(
        "counted", lambda: operator.get("maildomain", "host")["status"]["servedDomains"] == len(kept) + 1
    )  # fmt: skip

    operator.quiet()
    before = len(operator.server.writes())
    operator.stop()
    operator.start()
    operator.wait("swept", lambda: "mailpod_operator_sweeps_total 1.0" in operator_metrics(operator))
    operator.wait("settled", lambda: "mailpod_operator_queue 0.0" in operator_metrics(operator))
    assert operator.writes(before) == [], "the comparison at the start missed nobody, and took nothing back"
    assert operator.condition("maildomain", "host", "DirectoryReady")["status"] == "True"
    operator.wait_ready(*(f"box-{name}" for name in kept))


def operator_metrics(operator: OperatorRun) -> str:
    """Nothing where it does not answer yet."""
    try:
        with urlopen(f"http://127.0.0.1:{operator.port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except (URLError, OSError):
        return ""
