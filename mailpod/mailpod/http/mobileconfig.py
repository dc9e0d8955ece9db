"""Apple's configuration profile: an account in Mail on iPhone, iPad and Mac, by one tap. Pure but for the signature.

Signed with the domain's certificate, it shows as verified where that is of a known authority; the password is never in
it: the device asks.
"""

from __future__ import annotations

import plistlib
import uuid
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7

from mailpod.http.site import Server, Site

PATH: Final = "/mailpod.mobileconfig"
KIND: Final = "application/x-apple-aspen-config"
_SPACE: Final = uuid.UUID("9b0f7d0e-2d39-5c0e-8a4b-3f5a7d1e6c21")  # of our uuid5s: the same account, the same profile


def profile(site: Site, address: str) -> bytes:
    """The profile of an address, or of the domain without one (the device asks for it then): a property list."""
    name = address or site.domain
    best = {server.protocol: server for server in reversed(site.servers())}
    account = {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"dev.mailpod.{name}.mail",
        "PayloadUUID": str(uuid.uuid5(_SPACE, f"mail {name}")).upper(),
        "PayloadDisplayName": name,
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAccountDescription": site.domain,
        **({"EmailAddress": address} if address else {}),
        **_server("Incoming", best["IMAP"], address),
        **_server("Outgoing", best["SMTP"], address),
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": f"dev.mailpod.{name}",
            "PayloadUUID": str(uuid.uuid5(_SPACE, name)).upper(),
            "PayloadDisplayName": f"Mail of {name}",
            "PayloadDescription": f"Sets up {name} in Mail.",
            "PayloadOrganization": site.domain,
            "PayloadContent": [account],
        }
    )


def _server(direction: str, server: Server, address: str) -> dict[str, Any]:
    return {
        f"{direction}MailServerAuthentication": "EmailAuthPassword",
        f"{direction}MailServerHostName": server.host,
        f"{direction}MailServerPortNumber": server.port,
        f"{direction}MailServerUseSSL": server.security == "TLS",
        **({f"{direction}MailServerUsername": address} if address else {}),
    }


def signed(profile: bytes, certificate: Path, key: Path) -> bytes:
    """CMS (RFC 5652) around it, with the certificate's chain. Reads files. Raises OSError, ValueError."""
    leaf, *chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    private = load_pem_private_key(key.read_bytes(), None)
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("CMS has no signature of such a key")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(profile).add_signer(leaf, private, SHA256())
    for issuer in chain:
        builder = builder.add_certificate(issuer)
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
