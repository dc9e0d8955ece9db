"""Certificates of peers: whose they are, and whether they lead to somebody trusted."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import Store
from tests.harness.pki import Pair, authority, issue

from mailpod.tlspolicy.chain import load, verify
from mailpod.tlspolicy.names import fits
from mailpod.tlspolicy.roots import NoRoots, Roots

ROOT = authority()
BELOW = authority("Intermediate", ROOT)
ANOTHER = authority("Another authority")


def wrong(pair: Pair, name: str = "mx.test", anchor: Pair = ROOT) -> str | None:
    failure = verify(load(pair.chain), Store([anchor.certificate]), {name}, time.time())
    return failure and failure.result


def test_a_chain_that_leads_to_the_authority_is_good() -> None:
    assert wrong(issue(ROOT, "mx.test")) is None
    assert wrong(issue(BELOW, "mx.test")) is None
    assert wrong(issue(BELOW, "mx.test"), anchor=BELOW) is None  # DANE-TA names authorities in the middle


def test_one_of_another_authority_is_not() -> None:
    assert wrong(issue(ANOTHER, "mx.test")) == "certificate-not-trusted"
    assert wrong(issue(None, "mx.test")) == "certificate-not-trusted"


def test_the_authority_in_the_middle_must_be_shown_and_be_one() -> None:
    hidden = issue(BELOW, "mx.test")
    assert wrong(Pair(hidden.certificate, hidden.key)) == "certificate-not-trusted"
    server = issue(ROOT, "other.test")
    assert wrong(issue(server, "mx.test")) == "certificate-not-trusted"


def test_the_name_counts() -> None:
    assert wrong(issue(ROOT, "mx.test"), "other.test") == "certificate-host-mismatch"
    assert wrong(issue(ROOT, "*.test")) is None
    assert wrong(issue(ROOT, common_name="mx.test")) is None
    assert wrong(issue(ROOT, "a.test", common_name="mx.test")) == "certificate-host-mismatch"


def test_dates_count() -> None:
    assert wrong(issue(ROOT, "mx.test", days=-1)) == "certificate-expired"


def test_a_certificate_for_clients_is_not_for_a_server() -> None:
    client = Pair(_with_usage(x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH), ROOT.key)
    assert wrong(client) == "certificate-not-trusted"
    assert wrong(Pair(_with_usage(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH), ROOT.key)) is None


def _with_usage(usage: x509.ObjectIdentifier) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    good = issue(ROOT, "mx.test")
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(good.certificate.subject)
        .issuer_name(ROOT.certificate.subject)
        .public_key(good.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mx.test")]), critical=False)
    )
    return builder.sign(ROOT.key, hashes.SHA256())


@pytest.mark.parametrize(
    ("pattern", "host", "good"),
    [
        ("mx.example", "mx.example", True),
        ("MX.example.", "mx.EXAMPLE", True),
        ("*.example", "mx.example", True),
        ("*.example", "a.mx.example", False),  # RFC 8461 §4.1: one label
        ("*.example", "example", False),
        ("*.example", ".example", False),
        ("m*.example", "mx.example", False),
        ("*", "example", False),
    ],
)
def test_names_with_a_star(pattern: str, host: str, good: bool) -> None:
    assert fits(pattern, host) is good


def test_roots_are_of_a_file_or_the_systems(tmp_path: Path) -> None:
    certificate, _ = ROOT.write(tmp_path)
    assert Roots(certificate).store()
    assert Roots().store()
    (tmp_path / "empty").write_text("nothing\n")
    with pytest.raises(NoRoots):
        Roots(tmp_path / "empty").store()
    with pytest.raises(NoRoots):
        Roots(tmp_path / "absent").store()


def test_what_is_no_certificate_is_none() -> None:
    with pytest.raises(ValueError):
        load([b"nonsense"])
    with pytest.raises(ValueError):
        load([])
