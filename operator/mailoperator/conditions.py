"""Conditions: what a status tells, with constant reasons (OPERATOR.md rule 1).

`lastTransitionTime` moves only when the status flips; a message or a reason may change without it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Raw: TypeAlias = dict[str, Any]
Status: TypeAlias = Literal["True", "False", "Unknown"]
_LONGEST_MESSAGE: Final = 1024

READY: Final = "Ready"
STORAGE_READY: Final = "StorageReady"
CERTIFICATE_READY: Final = "CertificateReady"
AVAILABLE: Final = "Available"
DNS_READY: Final = "DNSReady"
DIRECTORY_READY: Final = "DirectoryReady"
DOMAIN_ACCEPTED: Final = "DomainAccepted"
ADDRESS_ACCEPTED: Final = "AddressAccepted"
PASSWORD_READY: Final = "PasswordReady"  # noqa: S105  a condition
PUBLISHED: Final = "Published"
INTACT: Final = "Intact"

# DECISIONS.md: never DNS, never a load balancer's address
DOMAIN_READY_NEEDS: Final = (DOMAIN_ACCEPTED, STORAGE_READY, CERTIFICATE_READY, AVAILABLE)
MAILBOX_READY_NEEDS: Final = (ADDRESS_ACCEPTED, PASSWORD_READY, PUBLISHED, INTACT)
DOMAIN_CONDITIONS: Final = (*DOMAIN_READY_NEEDS, DIRECTORY_READY, DNS_READY)
MAILBOX_CONDITIONS: Final = MAILBOX_READY_NEEDS

# Reasons, of both kinds
AS_WANTED: Final = "AsWanted"  # whatever the condition is about is as it should be
PENDING: Final = "Pending"  # not looked at yet
PAUSED: Final = "Paused"  # by the annotation mailpod.dev/paused
DELETING: Final = "Deleting"
INVALID: Final = "Invalid"  # the spec cannot be used; the message says which field
# of a MailDomain
DOMAIN_TAKEN: Final = "DomainTaken"  # another MailDomain has the name
HOST_MISSING: Final = "HostMissing"  # servedByRef names no MailDomain
HOST_NOT_A_SERVER: Final = "HostNotAServer"  # servedByRef names one that is itself served by another
HOST_NOT_READY: Final = "HostNotReady"
STORAGE_MISSING: Final = "StorageMissing"  # no storage, and the installation has no default
SECRET_MISSING: Final = "SecretMissing"  # noqa: S105  a reason
SECRET_NOT_OFFERED: Final = "SecretNotOffered"  # noqa: S105  its label or type does not offer it
NO_PODS_READY: Final = "NoPodsReady"
ROLLING_OUT: Final = "RollingOut"
APPLY_REFUSED: Final = "ApplyRefused"  # the API server refused an object; the message says why
NAME_TAKEN: Final = "NameTaken"  # an object of somebody else's stands where one is to be made
TOO_MANY_WITHDRAWN: Final = "TooManyWithdrawn"  # the brake of rule 34
STORAGE_UNAVAILABLE: Final = "StorageUnavailable"
# of a Mailbox
DOMAIN_MISSING: Final = "DomainMissing"
DOMAIN_NOT_READY: Final = "DomainNotReady"
ADDRESS_TAKEN: Final = "AddressTaken"
ADDRESS_RESERVED: Final = "AddressReserved"
SECRET_NAME_TAKEN: Final = "SecretNameTaken"  # noqa: S105  a reason
SECRET_INVALID: Final = "SecretInvalid"  # noqa: S105  a reason
LOG_DAMAGED: Final = "LogDamaged"  # its mail is read-only until `mailpod restore` (STORE.md rule 16)
STORAGE_GIVEN_UP: Final = "StorageGivenUp"  # a finalizer went without its purge


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a status."""

    type: str
    status: Status
    reason: str
    message: str = ""

    @property
    def holds(self) -> bool:
        return self.status == "True"


def good(type: str, message: str = "") -> Condition:
    return Condition(type, "True", AS_WANTED, message)


def bad(type: str, reason: str, message: str) -> Condition:
    return Condition(type, "False", reason, message)


def unknown(type: str, reason: str = PENDING, message: str = "not looked at yet") -> Condition:
    return Condition(type, "Unknown", reason, message)


def complete(found: Iterable[Condition], types: Sequence[str], needs: Sequence[str]) -> list[Condition]:
    """All of `types` in their order, those not found as Unknown, and the summary Ready before them."""
    known = {condition.type: condition for condition in found}
    lines = [known.get(type) or unknown(type) for type in types]
    return [summary([line for line in lines if line.type in needs]), *lines]


def summary(needed: Sequence[Condition]) -> Condition:
    """Ready: true where all are; otherwise what the first that is not says, False before Unknown."""
    for status in ("False", "Unknown"):
        for condition in needed:
            if condition.status == status:
                return Condition(READY, condition.status, condition.reason, condition.message)
    return good(READY)


def merged(existing: Iterable[Raw], new: Iterable[Condition], *, generation: int, now: float) -> list[Raw]:
    """`new` as the status has it; a condition whose status did not flip keeps its time."""
    before = {condition.get("type"): condition for condition in existing}
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [_written(condition, before.get(condition.type), generation, moment) for condition in new]


def _written(condition: Condition, before: Raw | None, generation: int, moment: str) -> Raw:
    stays = before is not None and before.get("status") == condition.status and before.get("lastTransitionTime")
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message[:_LONGEST_MESSAGE],
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if before and stays else moment,
    }


def flipped(existing: Iterable[Raw], new: Iterable[Condition]) -> list[Condition]:
    """Conditions whose status or reason is not what it was: what an Event is worth."""
    before = {condition.get("type"): condition for condition in existing}
    return [
        condition
        for condition in new
        if (old := before.get(condition.type)) is None
        or old.get("status") != condition.status
        or (old.get("reason") != condition.reason and not condition.holds)
    ]
