"""The models refuse what the API server's rules refuse, and their bounds are the schema's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.operator.rules import CASES, Case, domain, mailbox, manifest, pods, server, storage

from mailoperator.crd import RESOURCES, Resource, build_crds
from mailoperator.crdschema import structural
from mailoperator.model import Condition, Mailbox, MailboxUsage, MailDomain, Model
from mailoperator.model_bounds import bounded
from mailoperator.model_status import PLAIN, PRINTABLE
from mailoperator.quantity import format_bytes, parse_quantity

KINDS = {"MailDomain": MailDomain, "Mailbox": Mailbox}
ALONE = [case for case in CASES if case.before is None and case.bad]


def parse(case: Case, spec: dict[str, Any]) -> Model:
    return KINDS[case.kind].model_validate(manifest(case.kind, case.name, spec))


def rules_of(schema: Any) -> Iterator[str]:
    """The messages of all rules in a schema."""
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
        for part in schema.values():
            yield from rules_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from rules_of(part)


def test_no_rule_is_without_a_case_and_no_case_without_a_rule() -> None:
    messages = [message for crd in build_crds() for message in rules_of(crd)]
    assert len(messages) == 34
    for message in messages:
        broken = [case for case in CASES if case.message in message and (case.bad or case.bad_names)]
        assert broken and all(case.good for case in broken), f"no case of: {message}"
    for case in CASES:
        assert [message for message in messages if case.message in message], case.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.message)
def test_what_is_good_is_read(case: Case) -> None:
    for spec in case.good:
        parsed = parse(case, spec)
        assert KINDS[case.kind].model_validate(parsed.wire()) == parsed


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.message)
def test_what_breaks_a_rule_is_refused_with_its_message(case: Case) -> None:
    for spec in case.bad:
        with pytest.raises(ValidationError, match="1 validation error") as caught:
            parse(case, spec)
        assert case.message in str(caught.value)


# -- what is not a rule but a type


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (domain(aliasDomains=["a.example", "A.example"]), '"a.example" stands twice'),
        (domain(allowedReservedLocalParts=["root"]), "Input should be 'admin'"),
        (domain(aliasDomains=[f"{n}.example" for n in range(51)]), "at most 50"),
        (server(replicas=0), "greater than or equal to 1"),
        (storage(bucket="My_Bucket"), "is not a bucket's name"),
        (storage(prefix="/a"), "is not a prefix"),
        (storage(prefix="a//b"), "is not a prefix"),
        (storage(prefix="a/../b"), "is not a prefix"),
        (storage(prefix=".mailpod"), "is not a prefix"),
        (storage(endpoint="s3.example.com"), "is not https://HOST"),
        (storage(endpoint="https://user@s3.example.com"), "is not https://HOST"),
        (storage(endpoint="https://s3.example.com/path"), "is not https://HOST"),
        (storage(deletionPolicy="Delete"), "Input should be 'Retain'"),
        (server(image="mailpod 1"), "is not an image"),
        (pods(resources={"limits": {"memory": "512 MB"}}), "is not a quantity (try 500m or 512Mi)"),
        (pods(securityContext={}), "Extra inputs are not permitted"),
    ],
)
def test_a_bad_value(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MailDomain.model_validate(manifest("MailDomain", "a", spec))
    assert problem in str(caught.value)


def test_pod_settings_come_out_as_they_were_written() -> None:
    written = {
        "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}},
        "tolerations": [{"key": "mail", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}
                ]
            }
        },
    }
    parsed = MailDomain.model_validate(manifest("MailDomain", "a", pods(**written)))
    assert parsed.spec.server is not None and parsed.spec.server.pod_template.wire() == written


def test_defaults() -> None:
    parsed = MailDomain.model_validate(manifest("MailDomain", "a", domain()))
    assert (parsed.hostname, parsed.is_host, parsed.spec.max_message_size) == ("mail.example.com", True, 50 << 20)
    box = Mailbox.model_validate(manifest("Mailbox", "bob", mailbox()))
    assert (box.local_part, box.spec.deletion_policy, box.spec.suspended) == ("bob", "Retain", False)


# -- status


def test_text_of_other_programs_fits_a_condition() -> None:
    said = Condition(
        type="Ready", status="False", reason="X", message="é\n" + "x" * 900, last_transition_time="2026-01-01T00:00:00Z"
    )
    assert said.message.startswith("&#233; xxx") and said.message.endswith("x...") and len(said.message) == 400


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1Ki"),
        (1536, "1.5Ki"),
        (5 << 30, "5Gi"),
        ((5 << 30) + 1, "5.1Gi"),
        (1 << 62, "4096Pi"),
    ],
)
def test_usage_is_for_people(size: int, written: str) -> None:
    assert format_bytes(size) == written
    assert MailboxUsage.model_validate({"bytes": size}).bytes == written


@given(st.integers(0, 2**62))
def test_usage_is_never_less_than_it_is(size: int) -> None:
    assert size <= parse_quantity(format_bytes(size)) <= size * 1.1 + 1


def test_every_kind_has_a_bound_for_everything() -> None:
    for resource, crd in zip(RESOURCES, build_crds(), strict=True):
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            assert not list(unbounded(schema["properties"][part], f"{resource.plural}.{part}"))


def unbounded(schema: dict[str, Any], where: str) -> Iterator[str]:
    """What could be as long as anyone likes."""
    kind = schema.get("type")
    bounds = {"string": "maxLength", "array": "maxItems", "integer": "maximum"}
    if "enum" not in schema and kind in bounds and bounds[kind] not in schema:
        yield where
    if "x-kubernetes-int-or-string" in schema and "maxLength" not in schema:
        yield where
    if isinstance(schema.get("additionalProperties"), dict):
        if "maxProperties" not in schema:
            yield where
        yield from unbounded(schema["additionalProperties"], f"{where}.*")
    for name, part in schema.get("properties", {}).items():
        yield from unbounded(part, f"{where}.{name}")
    if "items" in schema:
        yield from unbounded(schema["items"], f"{where}[]")


def fullest(schema: dict[str, Any]) -> Any:
    """A value at all bounds of a schema, as long as it can be in JSON."""
    if "enum" in schema:
        return max(schema["enum"], key=len)
    if "x-kubernetes-int-or-string" in schema:
        return "9" * 18 + "." + "9" * 9 + "Ki"
    match schema["type"]:
        case "string":
            longest = {PRINTABLE: '"', PLAIN: "x"}.get(schema.get("pattern", ""), "X" if "pattern" in schema else "😀")
            return "2026-01-01T00:00:00Z" if "format" in schema else longest * schema["maxLength"]
        case "integer":
            return schema["maximum"]
        case "array":
            return [fullest(schema["items"]) for _ in range(schema["maxItems"])]
    return {name: fullest(part) for name, part in schema["properties"].items()}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_a_status_at_its_bounds_is_below_32_kib(resource: Resource) -> None:
    status = fullest(structural(resource.status, defaults=False))
    assert len(json.dumps(status, ensure_ascii=False, separators=(",", ":")).encode()) < 32 * 1024


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_any_status_is_brought_within_its_bounds(resource: Resource) -> None:
    schema = structural(resource.status, defaults=False)
    kind = resource.model.__name__
    long = {
        "conditions": [{"type": f"T{n}", "status": "True", "reason": "X", "message": '"é\n' * 999} for n in range(99)],
        "dnsRecords": [{"type": "TXT", "name": "x" * 999, "value": 'a"' * 999, "resolves": "True"}] * 99,
        "address": "é" * 999,
    }
    fitted = bounded(kind, {name: value for name, value in long.items() if name in schema["properties"]})
    assert len(fitted["conditions"]) == 10
    for condition in fitted["conditions"]:
        resource.status.model_validate({"conditions": [{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    assert bounded(kind, fitted) == fitted
    assert bounded(kind, {"typo": 1}) == {"typo": 1}, "the API server says so"
    if "dnsRecords" in fitted:
        (record,) = {tuple(record.items()) for record in fitted["dnsRecords"]}
        assert re.fullmatch(PLAIN, dict(record)["value"]) and len(fitted["dnsRecords"]) == 20
