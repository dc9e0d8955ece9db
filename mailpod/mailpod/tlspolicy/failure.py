"""What TLS fell short of, in the words of reports (RFC 8460) and of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ResultType: TypeAlias = Literal[  # RFC 8460 §4.3
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """`text` is for the sender of a message and for logs."""

    result: ResultType
    text: str


class Deferred(Exception):
    """What an exchanger's policy is cannot be told now: it is not to be sent to, and may be later."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class CannotFetch(Exception):
    """A domain's MTA-STS policy cannot be had. `failure` says why, in the words of reports."""

    def __init__(self, result: ResultType, text: str) -> None:
        super().__init__(text)
        self.failure = Failure(result, text)
