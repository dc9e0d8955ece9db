"""The CustomResourceDefinitions as files, and the schema that they are made with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mailoperator.crd import RESOURCES, build_crds, files, main, template
from mailoperator.crdschema import structural
from mailoperator.model import Model

ROOT = Path(__file__).parents[2]
CRDS = {crd["spec"]["names"]["kind"]: crd for crd in build_crds()}


def version(kind: str) -> dict[str, Any]:
    (only,) = CRDS[kind]["spec"]["versions"]
    return dict(only)


def nodes(schema: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and all that is in it."""
    yield where, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{where}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from nodes(schema[name], f"{where}[]")


ALL = [node for kind in CRDS for node in nodes(version(kind)["schema"]["openAPIV3Schema"], kind)]


def test_what_is_committed_is_what_the_models_say() -> None:
    for path, text in files(ROOT):
        assert path.read_text() == text, f"{path}: python -m mailoperator.crd --write"
    written = {path.name for path, _ in files(ROOT)}
    for folder in ("crds", "charts/mailpod/templates/crds"):
        assert {path.name for path in (ROOT / folder).iterdir()} == written


def test_check_says_what_differs_and_write_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = f"--root={tmp_path}"
    assert main(["--check", root]) == 1
    assert capsys.readouterr().err.count("is not what the models say: python -m mailoperator.crd --write") == 4
    assert main(["--write", root]) == 0
    assert main(["--check", root]) == 0
    (tmp_path / "crds/mailboxes.yaml").write_text("")
    assert main(["--check", root]) == 1


def test_the_chart_s_copy_differs_by_its_switches() -> None:
    for crd in build_crds():
        lines = template(crd).splitlines()
        assert (lines[0], lines[-1]) == ("{{- if .Values.crds.enabled }}", "{{- end }}")
        kept = "\n".join(line for line in lines if "{{" not in line)
        read = yaml.safe_load(kept)
        assert read["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert read == crd


def test_names() -> None:
    shown = {kind: (crd["metadata"]["name"], crd["spec"]["names"]) for kind, crd in CRDS.items()}
    assert shown["MailDomain"][0] == "maildomains.mailpod.dev"
    assert [names["shortNames"] for _, names in shown.values()] == [["md"], ["mbx"]]
    assert [names["categories"] for _, names in shown.values()] == [["mail"], ["mail"]]
    assert {crd["spec"]["scope"] for crd in CRDS.values()} == {"Namespaced"}


def test_columns() -> None:
    def columns(kind: str, priority: int) -> list[str]:
        found = version(kind)["additionalPrinterColumns"]
        return [column["name"] for column in found if column.get("priority", 0) == priority]

    assert columns("MailDomain", 0) == ["Domain", "Ready", "Hostname", "Mailboxes", "Used", "Age"]
    assert columns("MailDomain", 1) == ["Address", "Pods", "Message"]
    assert columns("Mailbox", 0) == ["Address", "Ready", "Used", "Quota", "Age"]
    assert columns("Mailbox", 1) == ["Password", "Message"]


def test_paths_lead_somewhere() -> None:
    for kind in CRDS:
        paths = [column["jsonPath"].partition("[")[0] for column in version(kind)["additionalPrinterColumns"]]
        paths += version(kind)["subresources"].get("scale", {}).values()
        known = {where.removeprefix(kind) for where, _ in ALL}
        assert set(paths) - {".metadata.creationTimestamp"} <= known


def test_subresources() -> None:
    assert version("Mailbox")["subresources"] == {"status": {}}
    assert version("MailDomain")["subresources"]["scale"] == {
        "specReplicasPath": ".spec.server.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }


def test_everything_is_described_for_kubectl_explain() -> None:
    inner = ("[]", ".apiVersion", ".kind", ".metadata", ".metadata.name")
    undescribed = [where for where, node in ALL if "description" not in node and not where.endswith(inner)]
    assert undescribed == []


def test_the_schema_is_structural() -> None:
    for where, node in ALL:
        assert not {"$ref", "oneOf", "allOf", "not", "nullable", "title", "const"} & set(node), where
        assert "type" in node or node.get("x-kubernetes-int-or-string"), where
        if "anyOf" in node:
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}], where
        assert not ("properties" in node and "additionalProperties" in node), where


def test_lists_say_how_they_are_merged() -> None:
    for where, node in ALL:
        if node.get("type") == "array":
            assert node["x-kubernetes-list-type"] in ("atomic", "set", "map"), where


def test_enums_are_camel_case() -> None:
    not_ours = ("MailDomain.spec.allowedReservedLocalParts[]",)
    for where, node in ALL:
        for value in node.get("enum", []):
            assert where in not_ours or (value[0].isupper() and value.isalnum()), where


def test_defaults_are_what_the_models_have() -> None:
    """What the API server fills in is what local mode takes where nothing stands."""
    for resource in RESOURCES:
        schema = structural(resource.spec)
        filled = {name: part["default"] for name, part in schema["properties"].items() if "default" in part}
        required = (
            {"domainName": "example.com"} if "domainName" in schema["properties"] else {"domainRef": {"name": "a"}}
        )
        assert resource.spec.model_validate({**required, **filled}) == resource.spec.model_validate(required)


def test_what_has_no_place_in_a_structural_schema_is_an_error() -> None:
    class Either(Model):
        field: int | str = 0

    with pytest.raises(ValueError, match=r"Either\.field: a union has no place"):
        structural(Either)


def test_a_null_is_a_field_left_out() -> None:
    (spec,) = [resource.spec for resource in RESOURCES if resource.plural == "mailboxes"]
    assert spec.model_validate({"domainRef": {"name": "a"}, "localPart": None}).wire() == {"domainRef": {"name": "a"}}
    with pytest.raises(ValidationError):
        spec.model_validate({"domainRef": None})
