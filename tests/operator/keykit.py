"""For tests of keys: MailDomains, Mailboxes, certificates of any validity, and a clock that stands still."""

from __future__ import annotations

import base64
import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mailoperator.certificates import TlsPair
from mailoperator.model import Mailbox, MailDomain

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC).timestamp()
DAY = 86_400.0


class StillClock:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self.passed = 0.0

    def elapsed(self) -> float:
        return self.passed

    def now(self) -> float:
        return NOW + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds


def domain(name: str = "example.test", *, object_name: str = "", **spec: Any) -> MailDomain:
    object_name = object_name or name.replace(".", "-")
    metadata = {"name": object_name, "namespace": "mail", "uid": f"uid-of-{object_name}", "generation": 1}
    return MailDomain.model_validate(
        {
            "apiVersion": "mailpod.dev/v1alpha1",
            "kind": "MailDomain",
            "metadata": metadata,
            "spec": {"domainName": name, **spec},
        }
    )


def mailbox(name: str = "alice", *, uid: str = "", **spec: Any) -> Mailbox:
    return Mailbox.model_validate(
        {
            "apiVersion": "mailpod.dev/v1alpha1",
            "kind": "Mailbox",
            "metadata": {"name": name, "namespace": "mail", "uid": uid or f"uid-of-{name}"},
            "spec": {"domainRef": {"name": "example-test"}, **spec},
        }
    )


def secret(
    name: str, data: dict[str, bytes | str], *, use: str | None = None, type: str = "Opaque", owner: str = ""
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "mail", "labels": {"mailpod.dev/use": use} if use else {}}
    if owner:
        metadata["ownerReferences"] = [{"kind": "Mailbox", "name": "x", "uid": owner}]
    encoded = {
        key: base64.b64encode(held.encode() if isinstance(held, str) else held).decode() for key, held in data.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": encoded}


def tls_secret(name: str, pair: TlsPair) -> dict[str, Any]:
    return secret(name, {"tls.crt": pair.certificate, "tls.key": pair.key}, type="kubernetes.io/tls")


def pair(*names: str, begins: float = NOW - DAY, ends: float = NOW + 90 * DAY, issuer: str = "Test CA") -> TlsPair:
    """A certificate that says that somebody else issued it."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(begins, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(ends, datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return TlsPair(
        certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
