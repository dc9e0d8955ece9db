"""The pods' ServiceAccount. It has no rights, and no token of the API server's is mounted."""

from __future__ import annotations

from mailoperator.build import names
from mailoperator.build.inputs import Object
from mailoperator.build.server import server_of
from mailoperator.model import MailDomain


def build_serviceaccount(domain: MailDomain) -> Object:
    """Its annotations are the workload identity's: the cloud's own webhook mounts a token of the cloud's audience."""
    metadata = names.metadata(domain, names.base(domain))
    storage = server_of(domain).storage
    identity = storage.workload_identity if storage else None
    if identity is not None:
        metadata["annotations"] = dict(identity.service_account_annotations)
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }
