"""The chart as helm renders it, for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import binaries
from tests.harness.need import missing

from mailoperator.settings import OperatorSettings

CHART = Path(__file__).parents[2] / "charts" / "mailpod"
Object = dict[str, Any]


def helm(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run helm; skips, naming what is missing, where there is none and none can be built."""
    for what in binaries.missing((binaries.HELM,)):
        missing(what)
    program = binaries.build((binaries.HELM,))["helm"]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)
    if check and done.returncode:
        raise AssertionError(done.stderr)
    return done


def render(*settings: str, namespace: str = "system") -> list[Object]:
    """All objects, hooks included; each of `settings` is `path=value`, the value JSON."""
    text = helm("template", "mail", CHART, "--namespace", namespace, *flags(*settings)).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def flags(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set-json", setting)]


def one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The only object of a kind (and name)."""
    [found] = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def kinds(objects: list[Object]) -> set[str]:
    return {each["kind"] for each in objects}


def settings_of(objects: list[Object]) -> OperatorSettings:
    """What the operator reads of the rendered file."""
    text = one(objects, "ConfigMap", "mail-mailpod-operator")["data"]["operator.yaml"]
    return OperatorSettings.model_validate(yaml.safe_load(text))
