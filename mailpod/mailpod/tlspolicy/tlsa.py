"""TLSA records against a chain (RFC 6698 §2.1, as RFC 7672 §3 has it for SMTP): no I/O.

- DANE-EE(3) is the leaf's key or certificate alone: its names, dates and issuer do not matter (RFC 7672 §3.1.1).
- DANE-TA(2) is an authority in the chain that the server shows: names and dates count (§3.1.2).
- PKIX-TA(0) and PKIX-EE(1) are unusable, as is what does not parse (§3.1.3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.verification import Store

from mailpod.dns.answers import Tlsa
from mailpod.tlspolicy.chain import load, verify
from mailpod.tlspolicy.failure import Failure

DANE_TA: Final = 2
DANE_EE: Final = 3
_FULL, _SHA256, _SHA512 = range(3)  # matching types, RFC 6698 §2.1.3
_CERTIFICATE, _KEY = range(2)  # selectors, RFC 6698 §2.1.2
_SIZES: Final = {_SHA256: 32, _SHA512: 64}


def usable(record: Tlsa) -> bool:
    """Whether SMTP can go by it."""
    if record.usage not in (DANE_TA, DANE_EE) or record.selector not in (_CERTIFICATE, _KEY):
        return False
    if record.matching == _FULL:
        return _parses(record)
    return len(record.data) == _SIZES.get(record.matching)


def check(records: Sequence[Tlsa], chain: Sequence[bytes], names: Collection[str], now: float) -> Failure | None:
    """Whether the chain (DER, the leaf first) is what one of the usable records says. `names` are the host's."""
    try:
        certificates = load(chain)
    except ValueError:
        return Failure("validation-failure", "the server's certificate cannot be read")
    if any(record.usage == DANE_EE and _matches(record, certificates[0]) for record in records):
        return None
    anchors = [record for record in records if record.usage == DANE_TA]
    found = [one for one in certificates[1:] if any(_matches(record, one) for record in anchors)]
    # RFC 7672 §3.1.2: the anchor may be left out of the chain only where the record is all of its certificate
    found += [x509.load_der_x509_certificate(r.data) for r in anchors if (r.selector, r.matching) == (0, 0)]
    if not found:
        return Failure("validation-failure", "the server's certificate is none that its TLSA records name")
    return verify(certificates, Store(found), names, now)


def _matches(record: Tlsa, certificate: x509.Certificate) -> bool:
    if record.selector == _CERTIFICATE:
        data = certificate.public_bytes(Encoding.DER)
    else:
        data = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if record.matching == _SHA256:
        data = hashlib.sha256(data).digest()
    elif record.matching == _SHA512:
        data = hashlib.sha512(data).digest()
    return data == record.data


def _parses(record: Tlsa) -> bool:
    try:
        if record.selector == _CERTIFICATE:
            x509.load_der_x509_certificate(record.data)
        else:
            load_der_public_key(record.data)
    except Exception:  # also of an algorithm that is not known
        return False
    return True


def as_text(record: Tlsa) -> str:
    """As a zone has it, for reports (RFC 8460 §4.4)."""
    return f"{record.usage} {record.selector} {record.matching} {record.data.hex().upper()}"
