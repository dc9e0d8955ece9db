"""The ConfigMap with the pods' settings, and the hash of them by which a change rolls the pods out."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from mailoperator.build import names
from mailoperator.build.inputs import BuildInputs, Object
from mailoperator.build.podsettings import pod_settings
from mailoperator.build.server import resources_of
from mailoperator.model import MailDomain

FILE: Final = "pod.json"
HASH: Final = "mailpod.dev/config-hash"


def build_configmap(domain: MailDomain, inputs: BuildInputs) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.metadata(domain, names.config(domain)),
        "data": {FILE: settings_text(domain, inputs)},
    }


def settings_text(domain: MailDomain, inputs: BuildInputs) -> str:
    """Only what is not the default: a pod of an older image, started again amid an update, can still read it."""
    settings = pod_settings(domain, inputs, resources_of(domain))
    return settings.model_dump_json(indent=1, exclude_defaults=True) + "\n"


def config_hash(named: dict[str, Any]) -> str:
    """Of inputs by their names; an input that is not among them changes no pod (OPERATOR.md rule 9)."""
    text = "\n".join(f"{name}={value}" for name, value in sorted(named.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
