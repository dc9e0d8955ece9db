"""`spec.outbound`: how the pods of a MailDomain find other domains' servers, and how sure of them they must be."""

# ruff: noqa: RUF012  pydantic copies defaults, which ruff does not see of a model in another file

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StrictInt, StringConstraints

from mailoperator.model_base import DomainName, Matching, Model, ObjectRef, Toggle, Unique, rule

Hours: TypeAlias = Annotated[StrictInt, Field(ge=1, le=168)]
Minutes: TypeAlias = Annotated[StrictInt, Field(ge=1, le=1440)]

_RESOLVER = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"


class Smarthost(Model):
    """The server that all mail to other domains is handed to."""

    host: DomainName
    """Its name, which its certificate must have."""
    port: Annotated[StrictInt, Field(ge=1, le=65535)] = 587
    """Its port."""
    tls: Literal["StartTLS", "Implicit", "None"] = "StartTLS"
    """How TLS begins. None is for one in a network that nobody else is on."""
    credentials_secret_ref: ObjectRef | None = None
    """A Secret with the label `mailpod.dev/use: smarthost` and the keys `username` and `password`."""

    @rule(
        "!has(self.credentialsSecretRef) || self.tls != 'None'",
        "credentialsSecretRef needs TLS: the password would go in the clear",
        ".credentialsSecretRef",
    )
    def _password_is_hidden(self) -> bool:
        return self.credentials_secret_ref is None or self.tls != "None"


class Outbound(Model):
    """Mail to other domains. It holds for all domains that these pods serve."""

    resolver: (
        Annotated[str, StringConstraints(max_length=64), Matching(_RESOLVER, "an address and port: 192.0.2.1:53")]
        | None
    ) = None
    """The DNS server to ask, as ADDRESS:PORT; by default the pods' own."""
    smarthost: Smarthost | None = None
    """Hand all mail to other domains to this server; by default it goes to the servers of its recipients."""
    addresses: Annotated[list[Annotated[str, StringConstraints(max_length=49)]], Field(max_length=32), Unique()] = []
    """Where mail leaves from, as IP addresses or CIDRs, for the SPF record; by default from what the MX names."""
    first_retry_minutes: Minutes = 5
    """How long a message waits after its first attempt; then twice as long each time."""
    longest_retry_minutes: Minutes = 240
    """The longest that it waits between two attempts."""
    expire_after_hours: Hours = 120
    """How long a message is tried before its sender is told that it failed."""
    delay_notice_after_hours: Hours = 4
    """After how long its sender is told that it waits."""
    mta_sts: Toggle = "Enabled"
    """Whether what a domain asks for by MTA-STS is obeyed."""
    dane: Toggle = "Disabled"
    """Whether TLSA records are obeyed: for a resolver that validates DNSSEC, with nobody between it and the pods."""
    dmarc_reports: Toggle = "Enabled"
    """Whether domains that ask for it get a daily report of what came in their name."""
    tls_reports: Toggle = "Enabled"
    """Whether domains that ask for it get a daily report of TLS with them."""

    @rule(
        "!has(self.addresses) || self.addresses.all(each, isIP(each) || isCIDR(each))",
        "addresses must be IP addresses such as 192.0.2.1, or CIDRs such as 192.0.2.0/24",
        ".addresses",
    )
    def _sources(self) -> bool:
        return all(map(_is_source, self.addresses))

    @rule(
        "self.firstRetryMinutes <= self.longestRetryMinutes",
        "firstRetryMinutes is more than longestRetryMinutes",
        ".firstRetryMinutes",
    )
    def _retries_grow(self) -> bool:
        return self.first_retry_minutes <= self.longest_retry_minutes


def _is_source(written: str) -> bool:
    try:
        ipaddress.ip_network(written, strict=False)
    except ValueError:
        return False
    return True
