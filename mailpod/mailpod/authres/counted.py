"""What is counted for DMARC reports (RFC 9990 §3.1), as values that add up: of one pod's hour, of a day of all pods."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from mailpod.authres.check import Verdict
from mailpod.authres.dmarc import Disposition, Policy

Applied: TypeAlias = Literal["none", "pass", "quarantine", "reject"]
_MOST_SIGNATURES = 20  # of one message that are told


class Published(msgspec.Struct, frozen=True, order=True):
    """A policy as reports tell it."""

    domain: str
    policy: Disposition
    subdomains: Disposition
    missing: Disposition
    adkim: str
    aspf: str
    testing: bool


class Signed(msgspec.Struct, frozen=True, order=True):
    """The outcome of a signature."""

    domain: str
    selector: str
    result: str


class Seen(msgspec.Struct, frozen=True, order=True):
    """Messages of one client that came out alike."""

    policy: Published
    client: str
    author: str
    sender: str  # the domain of the reverse-path, "" of the null one
    spf_domain: str
    spf: str
    signatures: tuple[Signed, ...]
    aligned_spf: bool
    aligned_dkim: bool
    applied: Applied
    reason: str = ""  # why it is not what the policy says
    count: int = 1


def seen(verdict: Verdict, *, client: str, sender: str, applied: Disposition) -> Seen | None:
    """One message; None where nobody wants to hear of it. `applied` is what was done with it."""
    if len(verdict.dmarc) != 1:  # RFC 9989 §5.3.1: mail of several author domains is not DMARC's
        return None
    [dmarc] = verdict.dmarc
    if dmarc.record is None or not dmarc.record.reported:
        return None
    passed = dmarc.result == "pass"
    reason = ""
    if not passed and applied != dmarc.policy:
        reason = "policy_test_mode" if dmarc.record.testing and applied == dmarc.wanted else "local_policy"
        if dmarc.vouched:
            reason = "trusted_forwarder"
    return Seen(
        policy=_published(dmarc.record),
        client=str(ipaddress.ip_address(client)),
        author=dmarc.domain,
        sender=sender.rpartition("@")[2].lower(),
        spf_domain=verdict.spf.domain,
        spf=verdict.spf.result,
        signatures=tuple(
            Signed(one.domain, one.selector, one.result)
            for one in sorted(verdict.signatures, key=lambda one: one.result != "pass")
            if one.domain
        )[:_MOST_SIGNATURES],
        aligned_spf=dmarc.spf,
        aligned_dkim=dmarc.dkim,
        applied="pass" if passed and applied == "none" and dmarc.policy != "none" else applied,
        reason=reason,
    )


def _published(record: Policy) -> Published:
    return Published(
        record.domain,
        record.policy,
        record.subdomains,
        record.missing,
        "s" if record.strict_dkim else "r",
        "s" if record.strict_spf else "r",
        record.testing,
    )


def merged(counts: Iterable[Seen]) -> list[Seen]:
    """The sum, one of each kind, in a fixed order."""
    sums: dict[Seen, int] = {}
    for one in counts:
        kind = msgspec.structs.replace(one, count=0)
        sums[kind] = sums.get(kind, 0) + one.count
    return sorted(msgspec.structs.replace(kind, count=count) for kind, count in sums.items())


class Tally:
    """What this pod counted since `take`, of at most `capacity` kinds: what goes beyond is not reported."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._sums: dict[Seen, int] = {}

    def add(self, one: Seen) -> None:
        kind = msgspec.structs.replace(one, count=0)
        if kind in self._sums or len(self._sums) < self._capacity:
            self._sums[kind] = self._sums.get(kind, 0) + one.count

    def take(self) -> list[Seen]:
        """All of it; counting begins anew."""
        found, self._sums = self._sums, {}
        return [msgspec.structs.replace(kind, count=count) for kind, count in found.items()]

    def give_back(self, counted: Iterable[Seen]) -> None:
        """What was taken and could not be kept."""
        for one in counted:
            self.add(one)
