"""cert-manager's Certificate, for each MailDomain that names an issuer, also one that another serves."""

from __future__ import annotations

from collections.abc import Collection

from mailoperator.build import names
from mailoperator.build.inputs import CERTIFICATES, Object
from mailoperator.model import MailDomain


def build_certificate(domain: MailDomain, apis: Collection[str]) -> Object | None:
    """None where no issuer is named, or the cluster has no cert-manager. Clients and other servers use the hostname."""
    issuer = domain.spec.tls.issuer_ref if domain.spec.tls else None
    if issuer is None or CERTIFICATES not in apis:
        return None
    return {
        "apiVersion": CERTIFICATES,
        "kind": "Certificate",
        "metadata": names.metadata(domain, names.certificate_secret(domain)),
        "spec": {
            "secretName": names.certificate_secret(domain),
            "dnsNames": list(domain.certificate_names),
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth"],
            "issuerRef": issuer.model_dump(by_alias=True),
        },
    }
