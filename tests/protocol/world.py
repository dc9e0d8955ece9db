"""A small Internet for tests: domains with names in a DNS, each with a server on port 25 of a loopback address.

    with World(tmp_path) as world:
        ours = world.mailpod("one.test", users=["ann"])
        theirs = world.postfix("two.test", users=["bob"], signed=True, tlsa="3 1 1")

- Names are served by unbound, which validates what is signed, and known to nobody else. Nothing leaves the machine.
- Certificates are of the world's own authority, which every Mailpod here trusts (SSL_CERT_FILE).
- Needs root: ports 25, 53 and 443.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.harness.nameserver import NameServer
from tests.harness.need import missing
from tests.harness.pki import Pair, authority, issue
from tests.harness.postfix import Postfix
from tests.harness.server import Mailpod
from tests.harness.target import Account


class World:
    """`with` it, or call `stop`: all that it started ends then."""

    def __init__(self, home: Path) -> None:
        if os.geteuid() != 0:
            missing("root, for ports 25, 53 and 443,")
        self.home = home
        chooser = random.SystemRandom()
        self._network = f"127.{chooser.randrange(1, 255)}.{chooser.randrange(1, 255)}"
        self._last = 0
        self._records: dict[str, list[str]] = {}
        self._signed: set[str] = set()
        self._ends: list[Callable[[], object]] = []
        self.authority = authority()
        self.ca, _ = self.authority.write(home / "authority")
        self.names = NameServer(home / "dns", self.address())
        self.names.start()
        self._ends.append(self.names.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        while self._ends:
            self._ends.pop()()

    def address(self) -> str:
        """One that nobody has yet."""
        self._last += 1
        return f"{self._network}.{self._last}"

    # -- names

    def zone(self, domain: str, *records: str, signed: bool | None = None, forged: Sequence[str] = ()) -> None:
        """Replace all records of a domain (`mx A 127.0.0.9`; `@` is the domain). Signed: as it was."""
        if signed is not None:
            (self._signed.add if signed else self._signed.discard)(domain)
        self._records[domain] = list(records)
        self.names.zone(domain, records, signed=domain in self._signed, forged=forged)

    def add_records(self, domain: str, *records: str) -> None:
        self.zone(domain, *self._records.get(domain, []), *records)

    def remove_records(self, domain: str, owner: str) -> None:
        self.zone(domain, *(line for line in self._records[domain] if line.split()[0] != owner))

    # -- servers

    def mailpod(self, domain: str, *, users: Sequence[str] = ("ann",), signed: bool = False, **options: Any) -> Mailpod:
        """A whole local Mailpod, with ports as they are (25, 587, …), whose name is mx.<domain>.

        `options` go to the harness' Mailpod: `outbound={"dane": "Enabled"}` into the MailDomain, `pods=2`.
        """
        address = self.address()
        self.zone(domain, "@ MX 10 mx", f"mx A {address}", signed=signed)
        options.setdefault("outbound", {})
        options["outbound"] = {"resolver": self.names.resolver, **options["outbound"]}
        server = Mailpod(
            self.home / domain,
            [Account(f"{user}@{domain}", password(user)) for user in users],
            host=address,
            offset=0,
            hostname=f"mx.{domain}",
            name=domain,
            environment={"SSL_CERT_FILE": str(self.ca)},
            **options,
        )
        self._ends.append(server.stop)
        return server.start()

    def postfix(
        self,
        domain: str,
        *,
        users: Sequence[str] = ("bob",),
        signed: bool = False,
        certificate: Pair | None = None,
        tls: bool = True,
        tlsa: str = "",
        also: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> Postfix:
        """Another's server, whose name is mx.<domain>; it takes mail for the domains `also` too, whose `zone` is the
        test's to make. `certificate`: by default a good one.

        `tlsa` is "3 1 1" for a TLSA record that is right, or a whole one: "3 1 1 00…".
        """
        address = self.address()
        pair = certificate or self.certificate(f"mx.{domain}")
        records = ["@ MX 10 mx", f"mx A {address}"]
        if tlsa:
            whole = tlsa if len(tlsa.split()) == 4 else tlsa_record(tlsa, pair.certificate)
            records.append(f"_25._tcp.mx TLSA {whole}")
        self.zone(domain, *records, signed=signed)
        server = Postfix(
            address,
            domain=domain,
            hostname=f"mx.{domain}",
            users=users,
            also=also,
            certificate=pair if tls else None,
            resolver=self.names.resolver,
            settings=settings,
        )
        self._ends.append(server.stop)
        server.start()
        return server

    def certificate(self, *names: str) -> Pair:
        """One that everybody here trusts."""
        return issue(self.authority, *names)

    def policy(self, domain: str, text: str, *, certificate: Pair | None = None, number: str = "1") -> None:
        """The domain announces an MTA-STS policy, and serves it at mta-sts.<domain>."""
        address = self.address()
        server = http.server.ThreadingHTTPServer((address, 443), _handler(text))
        pair = certificate or self.certificate(f"mta-sts.{domain}")
        server.socket = pair.server(self.home / "sites").wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._ends.append(stop)
        self.add_records(domain, f"mta-sts A {address}", f'_mta-sts TXT "v=STSv1; id={number}"')


def _handler(text: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = self.path == "/.well-known/mta-sts.txt"
            self.send_response(200 if there else 404)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            if there:
                self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    return Handler


def password(user: str) -> str:
    """Of a user of a Mailpod here."""
    return f"pass-word-{user}"


def tlsa_record(kind: str, certificate: x509.Certificate | Path) -> str:
    """The TLSA record of a certificate: kind is "3 1 1", "2 0 1" and so on, by SHA-256 or whole."""
    if isinstance(certificate, Path):
        certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
    _, selector, matching = kind.split()
    data = certificate.public_bytes(Encoding.DER)
    if selector == "1":
        data = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"{kind} {(hashlib.sha256(data).digest() if matching == '1' else data).hex()}"
