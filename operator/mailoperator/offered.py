"""Secrets are offered, not taken (OPERATOR.md rule 31): only one that its owner labelled for this use is read.

Nothing here quotes what a Secret holds.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, Literal, Protocol, TypeAlias

from mailoperator.conditions import SECRET_INVALID, SECRET_MISSING, SECRET_NOT_OFFERED

Raw: TypeAlias = dict[str, Any]
Use: TypeAlias = Literal["password", "s3", "smarthost", "tls"]

LABEL: Final = "mailpod.dev/use"
TLS_TYPE: Final = "kubernetes.io/tls"


class Refused(Exception):
    """What was asked for cannot be used: a condition's constant reason, and a message for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Reader(Protocol):
    """What of Kube is needed to read."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...


def is_offered(secret: Raw, use: Use) -> bool:
    """By its label; a certificate by its type, which nobody gives to anything else."""
    if use == "tls":
        return bool(secret.get("type") == TLS_TYPE)
    return bool((secret["metadata"].get("labels") or {}).get(LABEL) == use)


async def offered(kube: Reader, namespace: str, name: str, use: Use, known: Raw | None = None) -> Raw:
    """The Secret, `known` (from the filtered watch) or read now. Raises Refused, ApiError."""
    secret = known or await kube.get("v1", "Secret", namespace, name)
    if secret is None:
        raise Refused(SECRET_MISSING, f"there is no Secret {name} in this namespace")
    if is_offered(secret, use):
        return secret
    needed = f"type {TLS_TYPE}" if use == "tls" else f"the label {LABEL}: {use}"
    raise Refused(SECRET_NOT_OFFERED, f"Secret {name} is not offered for this: it needs {needed}")


def value(secret: Raw, key: str) -> bytes | None:
    """What a key of a Secret holds. Raises Refused where that is no base64 (the API server lets none of it in)."""
    written = (secret.get("data") or {}).get(key)
    if written is None:
        return None
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(SECRET_INVALID, f"{key} of Secret {secret['metadata']['name']} is not base64") from None
