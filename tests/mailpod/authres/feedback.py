"""RFC 9990's schema (appendix A) as assertions: which elements, in which order, how often, with what in them."""

from __future__ import annotations

import ipaddress
from xml.etree import ElementTree

NAMESPACE = "{urn:ietf:params:xml:ns:dmarc-2.0}"
_POLICIES = ("none", "quarantine", "reject")
_RESULTS = ("none", "neutral", "pass", "fail", "softfail", "policy", "temperror", "permerror")
_REASONS = ("local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder")
# Children in order, with how often each may be there: "1", "?", "*", "+"; or the values that text may have
SCHEMA: dict[str, dict[str, str] | tuple[str, ...] | type] = {
    "feedback": {"version": "?", "report_metadata": "1", "policy_published": "1", "extension": "?", "record": "+"},
    "report_metadata": {
        "org_name": "1",
        "email": "1",
        "extra_contact_info": "?",
        "report_id": "1",
        "date_range": "1",
        "error": "?",
        "generator": "?",
    },
    "date_range": {"begin": "1", "end": "1"},
    "policy_published": {
        "domain": "1",
        "discovery_method": "?",
        "p": "1",
        "sp": "?",
        "np": "?",
        "fo": "?",
        "adkim": "?",
        "aspf": "?",
        "testing": "?",
    },
    "record": {"row": "1", "identifiers": "1", "auth_results": "1"},
    "row": {"source_ip": "1", "count": "1", "policy_evaluated": "1"},
    "policy_evaluated": {"disposition": "1", "dkim": "1", "spf": "1", "reason": "*"},
    "reason": {"type": "1", "comment": "?"},
    "identifiers": {"header_from": "1", "envelope_from": "?", "envelope_to": "?"},
    "auth_results": {"dkim": "*", "spf": "?"},
    "auth_results/dkim": {"domain": "1", "selector": "1", "result": "1", "human_result": "?"},
    "auth_results/spf": {"domain": "1", "scope": "?", "result": "1", "human_result": "?"},
    "version": ("1.0",),
    "begin": int,
    "end": int,
    "discovery_method": ("psl", "treewalk"),
    "p": _POLICIES,
    "sp": _POLICIES,
    "np": _POLICIES,
    "adkim": ("r", "s"),
    "aspf": ("r", "s"),
    "testing": ("y", "n"),
    "count": int,
    "disposition": ("pass", *_POLICIES),
    "policy_evaluated/dkim": ("pass", "fail"),
    "policy_evaluated/spf": ("pass", "fail"),
    "type": _REASONS,
    "result": _RESULTS,
    "scope": ("mfrom",),
}


def valid(xml: bytes) -> ElementTree.Element:
    """The root of a report that the schema allows, its names without their namespace."""
    root = ElementTree.fromstring(xml)
    _check(root, "")
    for element in root.iter():
        element.tag = element.tag.removeprefix(NAMESPACE)
    for address in root.iter("source_ip"):
        ipaddress.ip_address(address.text or "")
    return root


def _check(element: ElementTree.Element, parent: str) -> None:
    assert element.tag.startswith(NAMESPACE), element.tag
    name = element.tag.removeprefix(NAMESPACE)
    rule = SCHEMA.get(f"{parent}/{name}", SCHEMA.get(name))
    if isinstance(rule, dict):
        inside = [child.tag.removeprefix(NAMESPACE) for child in element]
        assert inside == sorted(inside, key=list(rule).index), (name, inside)
        for child, often in rule.items():
            count = inside.count(child)
            assert {"1": count == 1, "?": count <= 1, "*": True, "+": count >= 1}[often], (name, child, count)
        for each in element:
            _check(each, name)
    else:
        assert len(element) == 0, name
        if rule is int:
            assert (element.text or "").isdecimal(), name
        elif isinstance(rule, tuple):
            assert element.text in rule, (name, element.text)
