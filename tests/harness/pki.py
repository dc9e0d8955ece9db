"""An authority for tests, and the certificates that it gives out: good ones, and bad ones of each kind."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate, its key, and the certificates that lead up from it (itself left out)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def chain(self) -> list[bytes]:
        return [self.der, *(one.public_bytes(serialization.Encoding.DER) for one in self.above)]

    def write(self, folder: Path, name: str = "tls") -> tuple[Path, Path]:
        """The chain and the key as PEM files."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        chain = (self.certificate, *self.above)
        certificate.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key

    def server(self, folder: Path) -> ssl.SSLContext:
        """A server's context; the files are written to `folder`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.write(folder, f"pair-{self.certificate.serial_number:x}"))
        return context


def authority(name: str = "Test authority", issuer: Pair | None = None) -> Pair:
    """One that may sign, by itself or under another."""
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return _sign(name, issuer, [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)], 300, -300)


def issue(issuer: Pair | None, *names: str, days: float = 30, common_name: str = "") -> Pair:
    """A server's certificate for `names` and addresses; self-signed without `issuer`, expired with negative `days`."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(ca=False, path_length=None), True)]
    if names:
        extensions.append((x509.SubjectAlternativeName([_general_name(name) for name in names]), False))
    return _sign(common_name or names[0], issuer, extensions, days, min(days - 1, -1))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _sign(
    name: str, issuer: Pair | None, extensions: Sequence[tuple[x509.ExtensionType, bool]], until: float, since: float
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=since))
        .not_valid_after(now + datetime.timedelta(days=until))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    above = (issuer.certificate, *issuer.above) if issuer else ()
    return Pair(builder.sign(signer, hashes.SHA256()), key, above)
