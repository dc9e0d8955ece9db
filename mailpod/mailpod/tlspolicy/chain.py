"""The certificates that a TLS peer showed, and whether they lead to somebody trusted.

`ssl` can verify only during the handshake and only against anchors known before it, while a DANE-TA record names an
anchor that the handshake shows, and a policy that only reports must not cut it. So the handshake verifies nothing but
that the peer has the leaf's key, and `verify` the rest, by cryptography's RFC 5280 path building.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from mailpod.tlspolicy.failure import Failure
from mailpod.tlspolicy.names import fits, presented

_DER: Final = 2  # _ssl.ENCODING_DER
_DEPTH: Final = 8  # certificates between the leaf and the anchor
MOST_CERTIFICATES: Final = 20  # of what a peer shows: what follows is not looked at


def chain_of(connection: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    """DER, the leaf first, as the peer sent them and unverified; [] before a handshake."""
    public: Any = getattr(connection, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return list(public() or ())
    private: Any = getattr(connection, "_sslobj")  # noqa: B009  the same call before it was public
    return [certificate.public_bytes(_DER) for certificate in private.get_unverified_chain() or ()]


def load(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """Raises ValueError for what is no certificate, or an empty chain."""
    if not chain:
        raise ValueError("no certificate was shown")
    return [x509.load_der_x509_certificate(der) for der in chain[:MOST_CERTIFICATES]]


def verify(chain: Sequence[x509.Certificate], anchors: Store, names: Collection[str], now: float) -> Failure | None:
    """Whether the leaf is for one of `names`, and leads to one of `anchors`, all valid at `now` (Unix seconds)."""
    leaf, moment = chain[0], datetime.datetime.fromtimestamp(now, datetime.UTC)
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        return Failure(
            "certificate-expired", f"the certificate is valid until {leaf.not_valid_after_utc:%Y-%m-%d} only"
        )
    found = presented(leaf)
    if not any(fits(pattern, name) for pattern in found for name in names):
        return Failure("certificate-host-mismatch", f"the certificate is not for {' or '.join(sorted(names))}")
    builder = PolicyBuilder().store(anchors).time(moment).max_chain_depth(_DEPTH)
    builder = builder.extension_policies(ca_policy=_authorities(), ee_policy=_leaves())
    try:
        # the one without a name: names are compared above, in the way that RFC 7672 wants
        builder.build_client_verifier().verify(leaf, list(chain[1:]))
    except (VerificationError, ValueError):
        return Failure("certificate-not-trusted", "the certificate does not come from an authority that is trusted")
    return None


@cache
def _authorities() -> ExtensionPolicy:
    """What may sign: the Web's profile, without what authorities of one's own often leave out."""
    return (
        ExtensionPolicy.webpki_defaults_ca()
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
    )


@cache
def _leaves() -> ExtensionPolicy:
    return (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, None)
        .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _may_serve)
    )


def _may_sign(_: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:  # RFC 5280 §4.2.1.3
        raise ValueError("not for signing certificates")


def _may_serve(_: Policy, certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is None:  # RFC 5280 §4.2.1.12: for any use
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        raise ValueError("not for servers")
