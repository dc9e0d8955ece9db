"""Whether a certificate is for a host (RFC 6125, as RFC 8461 §4.2 and RFC 7672 §3.2.3 ask for it)."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID


def presented(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names that it is for, in lower case. The common name counts only where it has none (RFC 6125 §6.4.4)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = found.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    if not names:
        names = [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return tuple(name.lower().rstrip(".") for name in names)


def fits(pattern: str, host: str) -> bool:
    """`*` stands for the whole leftmost label and nothing else: RFC 6125 §6.4.3, RFC 8461 §4.1.

    `pattern` may end with a final dot or have capitals, and so may `host`.
    """
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == host
    first, _, rest = host.partition(".")
    return bool(first) and rest == pattern[2:]
