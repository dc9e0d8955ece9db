"""Where mail is kept. Bucket and prefix are for the life of a MailDomain: changed, its mail would be out of sight."""

# ruff: noqa: RUF012  pydantic copies defaults, which ruff does not see of a model in another file

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import StringConstraints

from mailoperator.model_base import AnnotationMap, Matching, Model, ObjectRef, fixed, rule


class WorkloadIdentity(Model):
    """The pods' ServiceAccount is known to the cloud, and no credentials are kept in the cluster."""

    service_account_annotations: AnnotationMap = {}
    """Of the pods' ServiceAccount: `eks.amazonaws.com/role-arn: …`."""


class Encryption(Model):
    """Encryption at rest, which the operator sets as the bucket's default."""

    type: Literal["None", "SSES3", "SSEKMS"] = "None"
    """None leaves the bucket's setting as it is; SSES3 is with keys of the store's own, SSEKMS with a key of its key
    management service."""
    kms_key_id: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    """The key, for SSEKMS; by default the account's."""

    @rule("!has(self.kmsKeyId) || self.type == 'SSEKMS'", "kmsKeyId is for type SSEKMS", ".kmsKeyId")
    def _key_is_used(self) -> bool:
        return self.kms_key_id is None or self.type == "SSEKMS"


class Storage(Model):
    """An S3 bucket, or a part of one."""

    RULES = (
        fixed("bucket", "mail does not move with it"),
        fixed("prefix", "mail does not move with it"),
    )

    bucket: Annotated[
        str,
        StringConstraints(min_length=3, max_length=63),
        Matching(r"^[a-z0-9][-a-z0-9.]*[a-z0-9]$", "a bucket's name: lower-case letters, digits, - and ."),
    ]
    """The bucket's name."""
    prefix: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=256),
            Matching(
                r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
                "a prefix: names of letters, digits, ., _ and -, with / between them only",
            ),
        ]
        | None
    ) = None
    """What keys begin with, without a slash at the end; by default nothing. No other MailDomain may use it, what
    is above it or what is below it."""
    endpoint: (
        Annotated[
            str,
            StringConstraints(max_length=300),
            Matching(
                r"^https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$",
                "https://HOST or https://HOST:PORT",
            ),
        ]
        | None
    ) = None
    """URL of an S3-compatible store: `https://s3.example.com`; by default AWS. http is only for hosts that the
    operator's settings allow."""
    region: (
        Annotated[str, StringConstraints(max_length=64), Matching(r"^[A-Za-z0-9][-A-Za-z0-9_.]*$", "a region's name")]
        | None
    ) = None
    """The bucket's region."""
    credentials_secret_ref: ObjectRef | None = None
    """A Secret with the label `mailpod.dev/use: s3` and the keys `accessKeyID`, `secretAccessKey` and perhaps
    `sessionToken`; `podAccessKeyID`, `podSecretAccessKey` and `podSessionToken` are for pods that may less."""
    workload_identity: WorkloadIdentity | None = None
    """Instead of credentials."""
    encryption: Encryption = Encryption()
    """Encryption at rest."""
    provisioning: Literal["Create", "Adopt"] = "Create"
    """Whether a bucket that is not there is made, with public access blocked, versioning and a lifecycle; Adopt uses
    one as it is, and says what it lacks."""
    deletion_policy: Literal["Retain"] = "Retain"
    """The bucket and its mail stay when the MailDomain goes."""

    @rule(
        "!(has(self.credentialsSecretRef) && has(self.workloadIdentity))",
        "credentialsSecretRef and workloadIdentity exclude each other",
    )
    def _one_identity(self) -> bool:
        return self.credentials_secret_ref is None or self.workload_identity is None

    @rule(
        "!has(self.endpoint) || !self.endpoint.matches('^https?://(169[.]254[.]|\\\\[[fF][eE][89aAbB])')",
        "endpoint cannot be a link-local address",
        ".endpoint",
    )
    def _endpoint_is_no_neighbour(self) -> bool:
        try:
            return not ipaddress.ip_address(urlsplit(self.endpoint or "").hostname or "").is_link_local
        except ValueError:  # a name: the operator looks at what it resolves to
            return True
