"""`spec.outbound`: how the pods of a MailDomain find other domains' servers, and how sure of them they must be."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from mailoperator.model_base import Matching, Model, Toggle

_RESOLVER = r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"


class Outbound(Model):
    """Mail to other domains. It holds for all domains that these pods serve."""

    resolver: (
        Annotated[str, StringConstraints(max_length=64), Matching(_RESOLVER, "an address and port: 192.0.2.1:53")]
        | None
    ) = None
    """The DNS server to ask, as ADDRESS:PORT; by default the pods' own."""
    mta_sts: Toggle = "Enabled"
    """Whether what a domain asks for by MTA-STS is obeyed."""
    dane: Toggle = "Disabled"
    """Whether TLSA records are obeyed: for a resolver that validates DNSSEC, with nobody between it and the pods."""
    tls_reports: Toggle = "Enabled"
    """Whether domains that ask for it get a daily report of TLS with them."""
