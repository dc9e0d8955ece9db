"""Attacks by a storage endpoint (OPERATOR.md rule 32): where the operator may be sent, it does not go.

Servers of one's own stand for the attacker's and for what is inside; what is inside must never be asked anything.
"""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.operator.fakekube import FakeKube

from mailoperator.bucket import REDIRECTED
from mailoperator.endpoint import REFUSED, EndpointRefused, check_endpoint
from mailoperator.model import MailDomain
from mailoperator.settings import OperatorSettings
from mailoperator.storage import ClusterPlane
from mailpod.clock import SystemClock
from mailpod.store.objects import StorageError
from mailpod.store.s3 import S3Objects, S3Settings


class Server(ThreadingHTTPServer):
    """Answers everything with `status`, and notes what it is asked."""

    daemon_threads = True

    def __init__(self, status: int = 200, location: str = "", tls: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status, self.location, self.asked = status, location, list[str]()
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


class Answer(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path}")
        body = b'{"secret": "inside"}'
        self.send_response(self.server.status)
        for name, value in (
            ("Location", self.server.location),
            ("Content-Length", str(len(body))),
            ("ETag", '"x"'),
            ("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    server = Server(**settings)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Leading:
    def check(self) -> None:
        """It leads."""


def host(endpoint: str) -> MailDomain:
    storage = {"bucket": "stolen", "endpoint": endpoint, "credentialsSecretRef": {"name": "s3"}}
    return MailDomain.model_validate(
        {
            "apiVersion": "mailpod.dev/v1alpha1",
            "kind": "MailDomain",
            "metadata": {"name": "thief", "namespace": "mail", "uid": "u"},
            "spec": {"domainName": "thief.test", "server": {"storage": storage}},
        }
    )


def kube() -> FakeKube:
    made = FakeKube()
    made.objects["v1", "Secret", "mail", "s3"] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s3", "namespace": "mail", "labels": {"mailpod.dev/use": "s3"}, "uid": "s"},
        "data": {"accessKeyID": "YQ==", "secretAccessKey": "Yg=="},
    }
    return made


@pytest.mark.parametrize(
    ("status", "reason"),
    [(301, REDIRECTED), (302, REDIRECTED), (303, "BucketUnavailable"), (307, REDIRECTED), (308, REDIRECTED)],
)
async def test_an_endpoint_that_redirects(status: int, reason: str) -> None:
    """It is refused by its answer to the first request, and nothing is asked of where it sends."""
    with serving() as inside, serving(status=status, location=f"http://localhost:{inside.port}/latest") as outside:
        settings = OperatorSettings(allow_http_hosts=["127.0.0.1"])
        plane = ClusterPlane(kube(), settings, Leading(), SystemClock(), cluster_uid="c")  # type: ignore[arg-type]
        try:
            report = await plane.prepare(host(f"http://127.0.0.1:{outside.port}"))
        finally:
            await plane.stop()
        assert (report.condition.status, report.condition.reason) == ("False", reason), report
        assert report.bucket is None and "inside" not in report.condition.message
        assert set(outside.asked) == {"HEAD /stolen"}
        assert inside.asked == []


KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(name: str, issuer: bytes | None, key: ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    """PEM, with its key; of an authority where there is no issuer. All have the same key."""
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.load_pem_x509_certificate(issuer).subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def test_one_that_redirects_later_on_is_not_followed_out_of_https(tmp_path: Path) -> None:
    """The data path follows a GET's redirection, but never from https to http: metadata services have no TLS."""
    (tmp_path / "ca.pem").write_bytes(authority := certificate("CA", None, KEY)[0])
    (tmp_path / "both.pem").write_bytes(b"".join(certificate("localhost", authority, KEY)))
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    with (
        serving() as inside,
        serving(status=307, location=f"http://127.0.0.1:{inside.port}/latest", tls=tmp_path / "both.pem") as outside,
    ):
        objects = S3Objects(
            S3Settings(
                bucket="stolen",
                endpoint=f"https://localhost:{outside.port}",
                ca_file=tmp_path / "ca.pem",
                credentials_file=credentials,
                read_deadline=0.5,
            )
        )
        for request in (objects.get("k"), objects.put("k", [b"x"]), objects.list("k/"), objects.delete(["k"])):
            with pytest.raises(StorageError):
                await request
        assert outside.asked, "it was asked"
        assert inside.asked == []


NAMES = {"sly.example.com": ["10.96.7.7"], "own.example.com": ["10.1.2.3"], "far.example.com": ["203.0.113.7"]}
POINTERS = {"10.96.7.7": "vault.secrets.svc.cluster.local"}


async def resolver(name: str) -> list[str]:
    return NAMES.get(name, [name])


async def namer(address: str) -> str:
    return POINTERS.get(address, "storage.example.com")


@pytest.mark.parametrize("url", ["https://sly.example.com", "https://10.96.7.7", "https://10.96.7.7:8200"])
async def test_a_name_that_resolves_into_the_cluster(url: str) -> None:
    with pytest.raises(EndpointRefused) as refused:
        await check_endpoint(url, resolver=resolver, namer=namer, environment={"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert refused.value.reason == REFUSED


@pytest.mark.parametrize("url", ["https://own.example.com", "https://far.example.com"])
async def test_a_store_in_a_private_network_is_no_attack(url: str) -> None:
    await check_endpoint(url, resolver=resolver, namer=namer, environment={"KUBERNETES_SERVICE_HOST": "10.96.0.1"})


@pytest.mark.parametrize("url", ["https://2852039166", "https://0xA9FEA9FE", "https://0251.0376.0251.0376"])
async def test_the_metadata_service_in_other_spellings(url: str) -> None:
    """As the C library reads them."""
    try:
        socket.getaddrinfo(url.removeprefix("https://"), None)
    except OSError:
        pytest.skip("this C library does not read such addresses")
    with pytest.raises(EndpointRefused) as refused:
        await check_endpoint(url, environment={})
    assert refused.value.reason == REFUSED
