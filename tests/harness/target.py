"""What a test or a benchmark needs to know of a mail server: where it listens and who may log in.

The same shape describes Mailpod and its peers (Postfix with Dovecot), so a test's client can be tried on both.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

STANDARD = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
}
"""Service name to its standard port; a local Mailpod listens on these plus its offset."""


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox that can log in. `name` is its resource's name in the manifest."""

    address: str
    password: str

    @property
    def local(self) -> str:
        return self.address.partition("@")[0]

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]


@dataclass(frozen=True, slots=True)
class Target:
    """A running server. `ca` is its certificate; `hostname` is the name in it; `ports` is by the names of STANDARD."""

    host: str
    hostname: str
    ports: dict[str, int]
    ca: Path | None = None
    http: int | None = None
    accounts: list[Account] = field(default_factory=list, repr=False)

    def port(self, service: str) -> int:
        return self.ports[service]

    def tls(self) -> ssl.SSLContext:
        """A client context that trusts this server's certificate and checks its name."""
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        context.check_hostname = self.ca is not None
        if self.ca is None:
            context.verify_mode = ssl.CERT_NONE
        return context

    def fingerprint(self, algorithm: str = "sha256") -> str:
        """The certificate's fingerprint, as msmtp and mpop want it: AA:BB:…"""
        import hashlib

        assert self.ca is not None
        der = ssl.PEM_cert_to_DER_cert(first_certificate(self.ca.read_text()))
        digest = hashlib.new(algorithm, der).hexdigest().upper()
        return ":".join(pairs(digest))


def pairs(text: str) -> Iterator[str]:
    for at in range(0, len(text), 2):
        yield text[at : at + 2]


def first_certificate(pem: str) -> str:
    """The first certificate of a PEM file, which may hold a chain or a key beside it."""
    begin = pem.index("-----BEGIN CERTIFICATE-----")
    end = pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    return pem[begin:end] + "\n"
