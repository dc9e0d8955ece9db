"""What the children of a MailDomain are called, and the labels by which they are found.

Neither ever changes for a MailDomain that exists: a Deployment's selector is immutable, and clients know the Service.
A Service's name is a DNS label (RFC 1035), so a MailDomain's name that is none gets a hash.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from mailoperator.build.inputs import Object
from mailoperator.model import API_VERSION, MailDomain

KEY_SECRETS: Final = 16
APP: Final = "mailpod"
_LONGEST: Final = 50  # of 63, so that every suffix has room
_LABEL: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def base(domain: MailDomain) -> str:
    """The name of the Deployment and the Service, and the start of all others."""
    return _base_of(domain.metadata.name)


def _base_of(name: str) -> str:
    if len(name) <= _LONGEST and _LABEL.fullmatch(name):
        return name
    plain = re.sub(r"[^-a-z0-9]", "-", name)
    plain = plain if plain[0].isalpha() else f"m-{plain}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[: _LONGEST - 9].rstrip('-')}-{digest}"


def config(domain: MailDomain) -> str:
    return f"{base(domain)}-config"


def headless(domain: MailDomain) -> str:
    """The Service whose name resolves to every pod."""
    return f"{base(domain)}-pods"


def plain(domain: MailDomain) -> str:
    """The Service inside the cluster, where the first one wants a PROXY header."""
    return f"{base(domain)}-plain"


def lmtp(domain: MailDomain) -> str:
    """The Service for mail servers that hand over."""
    return f"{base(domain)}-lmtp"


def certificate_secret(domain: MailDomain) -> str:
    """The Secret that cert-manager writes."""
    return certificate_secret_of(domain.metadata.name)


def certificate_secret_of(name: str) -> str:
    """The same, by the MailDomain's name."""
    return f"{_base_of(name)}-tls"


def key_secret(domain: MailDomain, number: int) -> str:
    """One of the Secrets with certificates and DKIM keys: 00 to 15 (OPERATOR.md rule 35)."""
    return f"{domain.metadata.name}-keys-{number:02d}"


def selector(domain: MailDomain) -> dict[str, str]:
    """The labels that are the pods' of this MailDomain and no other's."""
    return {
        "app.kubernetes.io/name": APP,
        "app.kubernetes.io/component": "pod",
        "app.kubernetes.io/instance": base(domain),
    }


def selector_text(domain: MailDomain) -> str:
    """`selector` as `status.selector` of /scale has it."""
    return ",".join(f"{key}={value}" for key, value in selector(domain).items())


def labels(domain: MailDomain) -> dict[str, str]:
    """Of every child."""
    return {**selector(domain), "app.kubernetes.io/part-of": APP, "app.kubernetes.io/managed-by": "mail-operator"}


def metadata(domain: MailDomain, name: str) -> Object:
    """Of a child: in the MailDomain's namespace, and gone with it."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": "MailDomain",
        "name": domain.metadata.name,
        "uid": domain.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": domain.metadata.namespace,
        "labels": labels(domain),
        "ownerReferences": [owner],
    }
