"""MailDomains and inputs for the builders' tests."""

from dataclasses import replace
from typing import Any

from mailoperator.build.children import build_children
from mailoperator.build.inputs import BucketInputs, BuildInputs, Object
from mailoperator.model import MailDomain

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
BUCKET = BucketInputs("mail", "clusters/one", "https://s3.example.net:8443", "eu-west-1", "example-bucket")
INPUTS = BuildInputs(image="registry.test/mailpod:1", bucket=BUCKET, directory_keys=(KEY,))


def domain(server: dict[str, Any] | None = None, *, name: str = "example", **spec: Any) -> MailDomain:
    """A MailDomain as the API server would give it; `spec` in the manifest's own names."""
    written = {"domainName": "example.com", **spec} | ({} if server is None else {"server": server})
    return MailDomain.model_validate(
        {
            "apiVersion": "mailpod.dev/v1alpha1",
            "kind": "MailDomain",
            "metadata": {"name": name, "namespace": "mail", "uid": "u-1", "generation": 1},
            "spec": written,
        }
    )


def child(kind: str, of: MailDomain, inputs: BuildInputs = INPUTS, name: str | None = None) -> Object:
    """The one child of a kind (and name)."""
    [found] = [
        one for one in build_children(of, inputs) if one["kind"] == kind and name in (None, one["metadata"]["name"])
    ]
    return found


def kinds(of: MailDomain, inputs: BuildInputs = INPUTS) -> set[str]:
    return {one["kind"] for one in build_children(of, inputs)}


def with_apis(*apis: str) -> BuildInputs:
    return replace(INPUTS, apis=frozenset(apis))
