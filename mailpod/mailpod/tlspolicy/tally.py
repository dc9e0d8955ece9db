"""What is counted for TLS reports (RFC 8460 §4), as values that add up: of one pod's hour, of a day of all pods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from mailpod.tlspolicy.failure import Failure
from mailpod.tlspolicy.policy import Kind, Policy

PolicyType: TypeAlias = Literal["sts", "tlsa", "no-policy-found"]  # RFC 8460 §4.4
_TYPES: Final[dict[Kind, PolicyType]] = {"sts": "sts", "dane": "tlsa"}


class Failed(msgspec.Struct, frozen=True, order=True):
    """Sessions that failed in one way with one server."""

    result: str
    host: str
    count: int


class Seen(msgspec.Struct, frozen=True):
    """Sessions under one policy of one recipients' domain."""

    domain: str
    type: PolicyType
    lines: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ok: int = 0
    failed: tuple[Failed, ...] = ()

    def key(self) -> tuple[object, ...]:
        return self.domain, self.type, self.lines, self.hosts


def session(policy: Policy, mx_host: str, failure: Failure | None) -> list[Seen]:
    """One connection. A policy that could not be had is a failure beside what TLS came to."""
    type = _TYPES.get(policy.kind, "no-policy-found")
    told = type != "no-policy-found"
    failed = (Failed(failure.result, mx_host, 1),) if failure else ()
    lines, hosts = (policy.lines, policy.patterns) if told else ((), ())
    found = [Seen(policy.domain, type, lines, hosts, int(failure is None), failed)]
    if policy.fault is not None:
        found.append(Seen(policy.domain, "sts", failed=(Failed(policy.fault.result, "", 1),)))
    return found


def merged(tallies: Iterable[Seen]) -> list[Seen]:
    """The sum, one a policy."""
    sums: dict[tuple[object, ...], Seen] = {}
    for seen in tallies:
        known = sums.get(seen.key())
        sums[seen.key()] = seen if known is None else _sum(known, seen)
    return list(sums.values())


def _sum(one: Seen, other: Seen) -> Seen:
    counts: dict[tuple[str, str], int] = {}
    for each in (*one.failed, *other.failed):
        counts[each.result, each.host] = counts.get((each.result, each.host), 0) + each.count
    failed = tuple(sorted(Failed(result, host, count) for (result, host), count in counts.items()))
    return msgspec.structs.replace(one, ok=one.ok + other.ok, failed=failed)


class Tally:
    """What this pod counted since `take`, of at most `capacity` policies: what goes beyond is not reported."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._seen: dict[tuple[object, ...], Seen] = {}

    def add(self, policy: Policy, mx_host: str, failure: Failure | None) -> None:
        if policy.kind == "fixed":  # a smarthost is nobody's domain
            return
        for seen in session(policy, mx_host, failure):
            known = self._seen.get(seen.key())
            if known is not None or len(self._seen) < self._capacity:
                self._seen[seen.key()] = seen if known is None else _sum(known, seen)

    def take(self) -> list[Seen]:
        """All of it; counting begins anew."""
        found, self._seen = list(self._seen.values()), {}
        return found

    def give_back(self, tallies: list[Seen]) -> None:
        """What was taken and could not be kept."""
        for seen in tallies[: self._capacity]:
            known = self._seen.get(seen.key())
            self._seen[seen.key()] = seen if known is None else _sum(known, seen)
