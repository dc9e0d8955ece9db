"""What the operator says of an object. At its bounds a status is below 32 KiB (OPERATOR.md rule 5, tests/operator).

Text is clipped to its bound and made ASCII here, so that no message of another program makes a status invalid.
"""

# ruff: noqa: RUF012  pydantic copies defaults, which ruff does not see of a model in another file

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints

from mailoperator.model_base import ATOMIC_LIST, Matching, Model, Schema, by_key
from mailoperator.quantity import Used

PRINTABLE: Final = "^[ -~]*$"
PLAIN: Final = r"^[ !#-\[\]-~]*$"
"""Neither a quotation mark nor a backslash, which JSON doubles."""


def clipped(text: str, length: int, *, plain: bool = False) -> str:
    """Text as ASCII of at most `length` characters, on one line; a `plain` one without quotation marks."""
    written = " ".join(text.split()).encode("ascii", "xmlcharrefreplace").decode()
    if plain:
        written = written.replace('"', "'").replace("\\", "/")
    return written if len(written) <= length else written[: length - 3] + "..."


def _text(length: int, *, plain: bool = False) -> tuple[BeforeValidator, StringConstraints, Schema]:
    """How text is bounded: it is clipped before it is looked at."""
    clip = BeforeValidator(lambda text: clipped(text, length, plain=plain) if isinstance(text, str) else text)
    return clip, StringConstraints(max_length=length), Schema({"pattern": PLAIN if plain else PRINTABLE})


Tristate: TypeAlias = Literal["True", "False", "Unknown"]
Count: TypeAlias = Annotated[StrictInt, Field(ge=0, le=2**53)]
Name: TypeAlias = Annotated[str, *_text(253, plain=True)]
Value: TypeAlias = Annotated[str, *_text(512, plain=True)]
Message: TypeAlias = Annotated[str, *_text(400)]
Address: TypeAlias = Annotated[str, StringConstraints(max_length=320)]


class Condition(Model):
    """One thing that is so, is not so or is not known yet."""

    type: Annotated[str, StringConstraints(max_length=64), Matching(r"^[A-Z][A-Za-z0-9]*$", "a condition's type")]
    """What: Ready sums the others up."""
    status: Tristate
    """Whether it is so."""
    observed_generation: Count = 0
    """The metadata.generation that was looked at."""
    last_transition_time: Annotated[str, StringConstraints(max_length=32), Schema({"format": "date-time"})]
    """When status last changed."""
    reason: Annotated[str, StringConstraints(max_length=64), Matching(r"^[A-Z][A-Za-z0-9]*$", "a reason")]
    """Why, in a word for programs."""
    message: Message = ""
    """Why, for people, and what to do."""


class DnsRecord(Model):
    """A record that should be in the DNS."""

    type: Literal["A", "AAAA", "CNAME", "MX", "SRV", "TXT", "TLSA", "PTR"]
    """The record's type."""
    name: Name
    """Its name."""
    value: Value
    """What it should say."""
    resolves: Tristate
    """Whether the DNS says so."""


class DomainUsage(Model):
    """What the domain's mailboxes hold. It is read every few minutes."""

    mailboxes: Count = 0
    """How many were counted."""
    bytes: Used = "0"
    """Bytes of messages, as a quantity."""


class MailboxUsage(Model):
    """What a mailbox holds. It is read every few minutes."""

    bytes: Used = "0"
    """Bytes of messages, as a quantity."""
    messages: Count = 0
    """Number of messages."""


class StorageStatus(Model):
    """Where mail is kept."""

    bucket: Name
    """The bucket's name."""
    prefix: Name = ""
    """What keys begin with."""


Conditions: TypeAlias = Annotated[list[Condition], Field(max_length=10), by_key("type")]


class MailDomainStatus(Model):
    """What the operator found and did."""

    conditions: Conditions = []
    """Ready is StorageReady, CertificateReady and Available together; DNSReady is beside it."""
    observed_generation: Count | None = None
    """The metadata.generation that was looked at last."""
    replicas: Annotated[StrictInt, Field(ge=0, le=1000)] | None = None
    """Pods that there are."""
    selector: Value | None = None
    """Labels of the pods, for autoscalers."""
    hostname: Name | None = None
    """The host that clients connect to."""
    addresses: Annotated[list[Name], Field(max_length=8), ATOMIC_LIST] = []
    """Where the Service is reached: IP addresses or names."""
    served_domains: Count | None = None
    """On a host: how many MailDomains it serves, itself among them."""
    mailboxes: Count | None = None
    """How many Mailboxes the domain has."""
    usage: DomainUsage | None = None
    """What they hold."""
    storage: StorageStatus | None = None
    """Where mail is kept."""
    dns_records: Annotated[list[DnsRecord], Field(max_length=20), ATOMIC_LIST] = []
    """Records to create, those that are missing first; no more than 20 stand here. Alias domains need the same."""


class MailboxStatus(Model):
    """What the operator found and did."""

    conditions: Conditions = []
    """Ready is all the others together."""
    observed_generation: Count | None = None
    """The metadata.generation that was looked at last."""
    address: Address | None = None
    """The address, as it is matched."""
    password_secret_name: Name | None = None
    """The Secret with the password, also where it was generated."""
    usage: MailboxUsage | None = None
    """What the mailbox holds."""
    quota: Used | None = None
    """The most bytes that it may hold, as a quantity; nothing where there is no limit."""
