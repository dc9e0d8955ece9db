"""The custom resources, `mailpod.dev/v1alpha1`, as they are written in manifests.

A field is here only when the data plane obeys it. Unknown fields are errors, so that a misspelt one is not silently
the default. Names on the wire are camelCase, sizes are quantities, references stay within the namespace (OPERATOR.md
rule 3). The schemas in `crds/` are made of these models: `mailoperator.crd`.
"""

from __future__ import annotations

from mailoperator.model_base import (
    API_VERSION,
    AliasLocalPart,
    DomainName,
    LocalPart,
    Model,
    Object,
    ObjectMeta,
    ObjectName,
    ObjectRef,
    Protocol,
    Rule,
)
from mailoperator.model_domain import RESERVED_LOCAL_PARTS, Group, MailboxDefaults, MailDomain, MailDomainSpec
from mailoperator.model_mailbox import Forwarding, Mailbox, MailboxSpec, PasswordRef, Quota
from mailoperator.model_scheduling import Affinity, Toleration, TopologySpread
from mailoperator.model_secret import Secret
from mailoperator.model_server import Autoscaling, Monitoring, PodTemplate, Resources, Rspamd, Server, Service
from mailoperator.model_status import (
    Condition,
    DnsRecord,
    DomainUsage,
    MailboxStatus,
    MailboxUsage,
    MailDomainStatus,
    StorageStatus,
)
from mailoperator.model_storage import Encryption, Storage, WorkloadIdentity
from mailoperator.model_tls import IssuerRef, SelfSigned, Tls

__all__ = [
    "API_VERSION",
    "RESERVED_LOCAL_PARTS",
    "Affinity",
    "AliasLocalPart",
    "Autoscaling",
    "Condition",
    "DnsRecord",
    "DomainName",
    "DomainUsage",
    "Encryption",
    "Forwarding",
    "Group",
    "IssuerRef",
    "LocalPart",
    "MailDomain",
    "MailDomainSpec",
    "MailDomainStatus",
    "Mailbox",
    "MailboxDefaults",
    "MailboxSpec",
    "MailboxStatus",
    "MailboxUsage",
    "Model",
    "Monitoring",
    "Object",
    "ObjectMeta",
    "ObjectName",
    "ObjectRef",
    "PasswordRef",
    "PodTemplate",
    "Protocol",
    "Quota",
    "Resources",
    "Rspamd",
    "Rule",
    "Secret",
    "SelfSigned",
    "Server",
    "Service",
    "Storage",
    "StorageStatus",
    "Tls",
    "Toleration",
    "TopologySpread",
    "WorkloadIdentity",
]
