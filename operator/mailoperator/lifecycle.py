"""A bucket's lifecycle rules, as S3 writes them: which of them would take mail away, and which one we want. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

Rule: TypeAlias = Mapping[str, Any]

OLD_VERSION_DAYS: Final = 7
UPLOAD_DAYS: Final = 7
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE", "ARCHIVE", "COLDLINE"})  # not readable at once


def harmful(rules: Sequence[Rule], prefix: str) -> list[str]:
    """What rules in force would expire or archive of current objects below `prefix` ("" is all), for people."""
    found = []
    for rule in rules:
        if rule.get("Status") != "Enabled" or not _concerns(rule, prefix):
            continue
        name = rule.get("ID") or "without a name"
        expiration = rule.get("Expiration") or {}
        if expiration.get("Days") or expiration.get("Date"):
            found.append(f"the lifecycle rule {name} expires current objects")
        classes = {str(step.get("StorageClass", "")).upper() for step in rule.get("Transitions") or []}
        if classes & _ARCHIVES:
            found.append(f"the lifecycle rule {name} archives current objects")
    return found


def wanted(prefix: str) -> dict[str, Any]:
    """Our rule: old versions, delete markers that hide nothing, and aborted uploads go after some days."""
    return {
        "ID": f"mailpod-{prefix.replace('/', '-')}" if prefix else "mailpod",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{prefix}/" if prefix else ""},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSION_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
    }


def merged(rules: Sequence[Rule], prefix: str) -> list[Rule] | None:
    """All rules with ours among them; None where it is there already. Rules of others stay as they are."""
    ours = wanted(prefix)
    there = next((rule for rule in rules if rule.get("ID") == ours["ID"]), None)
    if there is not None and _same(there, ours):
        return None
    return [*(rule for rule in rules if rule.get("ID") != ours["ID"]), ours]


def _same(there: Rule, ours: Rule) -> bool:
    """Equal in what matters: servers give back the prefix in one of two places, and fields of their own."""
    names = ("Status", "Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
    return all(there.get(name) == ours[name] for name in names) and _prefix(there) == _prefix(ours)


def _concerns(rule: Rule, prefix: str) -> bool:
    """Whether it can match our objects, which have no tags."""
    narrowed = rule.get("Filter") or {}
    if narrowed.get("Tag") or (narrowed.get("And") or {}).get("Tags"):
        return False
    theirs, ours = _prefix(rule), f"{prefix}/" if prefix else ""
    return theirs.startswith(ours) or ours.startswith(theirs)


def _prefix(rule: Rule) -> str:
    narrowed = rule.get("Filter") or {}
    return str(narrowed.get("Prefix") or (narrowed.get("And") or {}).get("Prefix") or rule.get("Prefix") or "")
