"""What a sender is told about some recipients of a message: the facts, which notices.py puts into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailpod.store.outbound import SpoolEntry
from mailpod.store.outcome import Outcome

Kind: TypeAlias = Literal["failed", "delayed", "delivered"]


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """`outcome` has status, what the other server said, its name, and when it was tried last."""

    recipient: str
    outcome: Outcome
    orcpt: str = ""  # RFC 3461 §4.2, as RCPT gave it


@dataclass(frozen=True, slots=True)
class Report:
    """One notice. All its recipients have outcomes of one kind; `delivered` has relayed ones among them (RFC 3464)."""

    kind: Kind
    entry: SpoolEntry
    message: bytes
    recipients: tuple[RecipientReport, ...]
    retry_until: float | None = None  # of `delayed`: Unix seconds


def wanted(entry: SpoolEntry, recipient: str, outcome: Outcome) -> Kind | None:
    """Whether the sender asked to hear of this, or said nothing and hears of failures and delays (RFC 3461 §4.1)."""
    options = entry.options.get(recipient)
    notify = options.notify if options and options.notify else ("FAILURE", "DELAY")
    match outcome.action:
        case "failed":
            return "failed" if "FAILURE" in notify else None
        case "delayed":
            return "delayed" if "DELAY" in notify else None
        case "delivered" | "relayed":
            return "delivered" if "SUCCESS" in notify else None
        case "passed":  # the next server reports: RFC 3461 §5.2.2
            return None


def may_be_told(entry: SpoolEntry) -> bool:
    """Never a notice of a notice, and never one to a sender who may be forged (RFC 5321 §6.1, §6.2)."""
    # format 1 did not keep who submitted it
    return bool(entry.sender) and (bool(entry.user) or entry.verified or entry.format < 2)


def reports(entry: SpoolEntry, message: bytes, outcomes: dict[str, Outcome]) -> list[Report]:
    """The notices that final outcomes give rise to, one a kind."""
    by_kind: dict[Kind, list[RecipientReport]] = {}
    for recipient, outcome in outcomes.items():
        if outcome.final and (kind := wanted(entry, recipient, outcome)):
            by_kind.setdefault(kind, []).append(_about(entry, recipient, outcome))
    return [Report(kind, entry, message, tuple(found)) for kind, found in sorted(by_kind.items())]


def delay(entry: SpoolEntry, message: bytes, outcomes: dict[str, Outcome], retry_until: float) -> Report | None:
    """The notice that some recipients still wait."""
    waiting = tuple(
        _about(entry, recipient, outcome)
        for recipient, outcome in outcomes.items()
        if not outcome.final and wanted(entry, recipient, outcome)
    )
    return Report("delayed", entry, message, waiting, retry_until) if waiting else None


def _about(entry: SpoolEntry, recipient: str, outcome: Outcome) -> RecipientReport:
    options = entry.options.get(recipient)
    return RecipientReport(recipient, outcome, options.orcpt if options else "")
