"""Manifests as a user would write them: a MailDomain, Mailboxes, and Secrets with their passwords."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.harness.target import Account

API = "mailpod.dev/v1alpha1"
DOMAIN = "example.test"
HOSTNAME = "mail.example.test"


def mail_domain(name: str = DOMAIN, hostname: str = HOSTNAME, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "MailDomain",
        "metadata": {"name": name.replace(".", "-")},
        "spec": {"domainName": name, "hostname": hostname, **spec},
    }


def mailbox(account: Account, **spec: Any) -> list[dict[str, Any]]:
    """A Mailbox and the Secret with its password."""
    secret = f"{account.local}-password"
    return [
        {
            "apiVersion": API,
            "kind": "Mailbox",
            "metadata": {"name": account.local},
            "spec": {
                "domainRef": {"name": account.domain.replace(".", "-")},
                "localPart": account.local,
                "passwordSecretRef": {"name": secret, "key": "password"},
                **spec,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret, "labels": {"mailpod.dev/use": "password"}},
            "stringData": {"password": account.password},
        },
    ]


def accounts(count: int, domain: str = DOMAIN, prefix: str = "u") -> list[Account]:
    """`count` accounts with names and passwords that tell them apart."""
    return [Account(f"{prefix}{n:03}@{domain}", f"pass-word-{prefix}{n:03}") for n in range(count)]


def write(path: Path, who: list[Account], mailboxes: Mapping[str, Any] | None = None, **domain_spec: Any) -> None:
    """Replace the manifest file in one step, as an editor or a deployment tool does.

    `mailboxes` has more of a Mailbox's spec, by local part.
    """
    documents = [mail_domain(**domain_spec)]
    for account in who:
        documents += mailbox(account, **(mailboxes or {}).get(account.local, {}))
    temporary = path.with_suffix(".new")
    temporary.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    temporary.replace(path)
