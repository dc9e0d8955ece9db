"""What the builders are given beside the MailDomain: everything that the reconciler gathered, and nothing else.

A builder is pure: the same domain and inputs give the same object, so that a second reconcile sends no write.
Nothing here changes with a Mailbox, an alias, a password or a certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object, as it is applied."""

POD_MONITORS: Final = "monitoring.coreos.com/v1"
CERTIFICATES: Final = "cert-manager.io/v1"


@dataclass(frozen=True, slots=True)
class BucketInputs:
    """Where a server's bucket is, with the installation's defaults filled in."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    credentials_secret: str | None = None
    """A Secret of the MailDomain's namespace whose key `credentials` is AWS's shared credentials file; None: the pods'
    workload identity."""

    def url(self) -> str:
        """As `mailpod.config.BucketSettings.url` takes it."""
        query = {"endpoint": self.endpoint, "region": self.region}
        written = urlencode({name: value for name, value in query.items() if value}, safe=":/")
        place = f"s3://{self.bucket}/{quote(self.prefix.strip('/'))}" if self.prefix else f"s3://{self.bucket}"
        return f"{place}?{written}" if written else place


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """For one MailDomain that has a `server`; `build_certificate` needs `apis` alone."""

    image: str
    """The installation's image of mail pods; the MailDomain's own goes before it."""
    bucket: BucketInputs
    directory_keys: tuple[str, ...]
    """Public keys whose signature on the directory the pods trust: base64 of 32 bytes each."""
    largest_message: int = 0
    """Of all domains that these pods serve, in bytes."""
    grace_seconds: float | None = None
    """GRACE of STORE.md; None: the pods' default."""
    image_pull_policy: str | None = None
    apis: frozenset[str] = field(default_factory=frozenset)
    """Group versions of others that this cluster has: POD_MONITORS, CERTIFICATES."""
