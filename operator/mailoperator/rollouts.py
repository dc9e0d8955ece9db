"""One MailDomain's pods are rolled at a time (OPERATOR.md rule 40), so that a bad image meets one of them first.

One that gets nowhere does not hold the others up for ever: a person may be waiting for a change of theirs.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from mailoperator.applying import contains
from mailoperator.build.deployment import TEMPLATE

Raw: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str]
_LONGEST_SECONDS: Final = 600.0
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}\Z")


class Rollouts:
    """Who rolls now."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._since = 0.0

    def begin(self, key: Key, now: float) -> bool:
        """Whether `key` may change its pods now."""
        if self._key not in (None, key) and now - self._since < _LONGEST_SECONDS:
            return False
        if self._key != key:
            self._key, self._since = key, now
        return True

    def end(self, key: Key) -> None:
        """`key` is up to date, or gone."""
        if self._key == key:
            self._key = None


def is_rolling(deployment: Raw) -> bool:
    """Whether its pods are not yet all of its latest template."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return True
    return bool(status.get("updatedReplicas", 0) < wanted or status.get("availableReplicas", 0) < wanted)


def image_of(deployment: Raw) -> str:
    """Of its latest pods."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def is_all_of(deployment: Raw, image: str) -> bool:
    """Whether there are pods, and none but of `image`."""
    status = deployment.get("status") or {}
    alone = status.get("replicas", 0) == status.get("updatedReplicas", 0) > 0
    return alone and not is_rolling(deployment) and is_same(image_of(deployment), image)


def is_same(one: str, other: str) -> bool:
    """Whether two names are of one image: the same, or, as in a mirror, with one digest, which says what is in it."""
    found = _DIGEST.search(one)
    return one == other or (found is not None and other.endswith(found[0]))


def would_roll(wanted: Raw, live: Raw) -> bool:
    """Whether applying `wanted` replaces pods: its template is another, or somebody changed the one that is there."""
    same = wanted["metadata"]["annotations"][TEMPLATE] == (live["metadata"].get("annotations") or {}).get(TEMPLATE)
    return not (same and contains(live["spec"].get("template"), wanted["spec"]["template"]))
