"""A pod's shared parts for tests of one protocol: real ones, over a bucket in memory."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailpod.clock import SystemClock
from mailpod.config import BucketSettings, PodSettings
from mailpod.net.budget import Budget
from mailpod.net.limits import Connections
from mailpod.net.tls import TlsContexts
from mailpod.services import Services


def bare_services(tls: TlsContexts | None = None, *, tick: float = 0.05, **settings: Any) -> Services:
    """Services for a connection that neither logs in nor reads mail."""
    chosen = PodSettings(bucket=BucketSettings(url="memory"), **settings)
    clock = SystemClock()
    connections = Connections(
        clock, total=chosen.max_connections, per_address=chosen.max_connections_per_address, tick=tick
    )
    absent = cast(Any, None)
    return Services(
        settings=chosen,
        store=absent,
        directory=absent,
        auth=absent,
        budget=Budget(chosen.message_budget_bytes),
        registry=absent,
        connections=connections,
        tls=tls or TlsContexts([]),
        clock=clock,
        pod_name="test",
    )


def make_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = folder / "tls.crt", folder / "tls.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def client_context() -> ssl.SSLContext:
    """TLS for a test's client, which trusts anything."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something that nothing announces. Fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
