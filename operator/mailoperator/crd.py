"""The CustomResourceDefinitions, made of the models. `python -m mailoperator.crd --write`, or `--check` in CI.

- crds/ and the chart's copy are this module's output and nothing else; `--check` fails where they differ.
- The chart's copy is a template, so that Helm upgrades it (OPERATOR.md rule 21), and differs by its first and last line
  and an annotation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from mailoperator.crdschema import structural
from mailoperator.model import (
    API_VERSION,
    Mailbox,
    MailboxSpec,
    MailboxStatus,
    MailDomain,
    MailDomainSpec,
    MailDomainStatus,
    Model,
    Object,
)

GROUP, _, VERSION = API_VERSION.partition("/")
_ROOT: Final = Path(__file__).parents[2]
_HEAD: Final = "# Made of operator/mailoperator/model*.py by `python -m mailoperator.crd --write`. Do not edit.\n"
_READY: Final = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True, slots=True)
class Column:
    """What `kubectl get` prints."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False

    def wire(self) -> dict[str, Any]:
        column = {"name": self.name, "type": self.type, "jsonPath": self.path, "description": self.description}
        return {**column, "priority": 1} if self.wide else column


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "Time since it was made.", "date")
_MESSAGE: Final = Column("Message", f"{_READY}.message", "Why it is not ready.", wide=True)


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind: its models, and how kubectl shows it."""

    model: type[Object]
    spec: type[Model]
    status: type[Model]
    plural: str
    short: str
    columns: tuple[Column, ...]
    scale: dict[str, str] | None = None


RESOURCES: Final = (
    Resource(
        MailDomain,
        MailDomainSpec,
        MailDomainStatus,
        "maildomains",
        "md",
        (
            Column("Domain", ".spec.domainName", "What is after the @."),
            Column("Ready", f"{_READY}.status", "Whether mail is served."),
            Column("Hostname", ".status.hostname", "The host that clients connect to."),
            Column("Mailboxes", ".status.mailboxes", "Mailboxes of the domain.", "integer"),
            Column("Used", ".status.usage.bytes", "What they hold."),
            _AGE,
            Column("Address", ".status.addresses[0]", "Where the Service is reached.", wide=True),
            Column("Pods", ".status.replicas", "Pods that there are.", "integer", wide=True),
            _MESSAGE,
        ),
        {
            "specReplicasPath": ".spec.server.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
    Resource(
        Mailbox,
        MailboxSpec,
        MailboxStatus,
        "mailboxes",
        "mbx",
        (
            Column("Address", ".status.address", "The address."),
            Column("Ready", f"{_READY}.status", "Whether mail is taken and can be read."),
            Column("Used", ".status.usage.bytes", "What it holds."),
            Column("Quota", ".status.quota", "The most that it may hold."),
            _AGE,
            Column("Password", ".status.passwordSecretName", "The Secret with the password.", wide=True),
            _MESSAGE,
        ),
    ),
)


def build_crds() -> list[dict[str, Any]]:
    """A CustomResourceDefinition a kind."""
    return [build_crd(resource) for resource in RESOURCES]


def build_crd(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    kind = resource.model.__name__
    subresources: dict[str, Any] = {"status": {}} | ({"scale": resource.scale} if resource.scale else {})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "mailpod", "app.kubernetes.io/part-of": "mailpod"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": resource.plural,
                "singular": kind.lower(),
                "shortNames": [resource.short],
                "categories": ["mail"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [column.wire() for column in resource.columns],
                    "subresources": subresources,
                    "schema": {"openAPIV3Schema": _schema(resource)},
                }
            ],
        },
    }


def _schema(resource: Resource) -> dict[str, Any]:
    return {
        "description": " ".join((resource.model.__doc__ or "").split()),
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": [rule.wire() for rule in resource.model.rules()],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # the API server's own bound, for the cost of rules about names
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural(resource.spec),
            "status": structural(resource.status, defaults=False),
        },
    }


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, lists indented as kubectl's readers expect."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def manifest(crd: dict[str, Any]) -> str:
    """As it stands in crds/."""
    return _HEAD + yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def template(crd: dict[str, Any]) -> str:
    """As it stands in the chart."""
    text = manifest(crd)
    if "{{" in text:
        raise ValueError("a description or a rule has {{ in it, which Helm would take for its own")
    keep = "metadata:\n  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"
    return "{{- if .Values.crds.enabled }}\n" + text.replace("metadata:\n", keep, 1) + "{{- end }}\n"


def files(root: Path = _ROOT) -> Iterator[tuple[Path, str]]:
    """The files of the project that are made here, and what is to stand in them."""
    for crd in build_crds():
        name = f"{crd['metadata']['name'].partition('.')[0]}.yaml"
        yield root / "crds" / name, manifest(crd)
        yield root / "charts" / "mailpod" / "templates" / "crds" / name, template(crd)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or say which are not as they should be: 1 then."""
    parser = argparse.ArgumentParser(prog="python -m mailoperator.crd", description=(__doc__ or "").splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write crds/ and the chart's copy")
    action.add_argument("--check", action="store_true", help="fail where they are not what --write would write")
    parser.add_argument("--root", type=Path, default=_ROOT, metavar="DIR", help="the project's folder")
    parsed = parser.parse_args(arguments)
    differ = [(path, text) for path, text in files(parsed.root) if not path.exists() or path.read_text() != text]
    for path, text in differ:
        if parsed.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        else:
            print(f"{path}: is not what the models say: python -m mailoperator.crd --write", file=sys.stderr)  # noqa: T201
    return 1 if differ and parsed.check else 0


if __name__ == "__main__":
    sys.exit(main())
