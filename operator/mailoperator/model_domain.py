"""The custom resource MailDomain."""

# ruff: noqa: RUF012  pydantic copies defaults, which ruff does not see of a model in another file

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, get_args

from pydantic import Field

from mailoperator.model_base import (
    DomainName,
    LocalPart,
    Model,
    Object,
    ObjectRef,
    Protocols,
    Rule,
    Unique,
    by_key,
    fixed,
    rule,
)
from mailoperator.model_mailbox import Quota
from mailoperator.model_outbound import Outbound
from mailoperator.model_retention import Retention
from mailoperator.model_server import Server
from mailoperator.model_tls import Tls
from mailoperator.quantity import Bytes, parse_quantity

MAX_ALIAS_DOMAINS = 50
_MAX_NAME = 50  # of a host: what is made for it has this name and a suffix, and must be a DNS label
_MAX_MESSAGE = parse_quantity("1Gi")

ReservedLocalPart: TypeAlias = Literal["admin", "administrator", "hostmaster", "webmaster", "postmaster", "abuse"]
"""Who has one of these can get a certificate for the domain, or is taken for its owner (rule 39)."""
RESERVED_LOCAL_PARTS: Final[frozenset[str]] = frozenset(get_args(ReservedLocalPart))


class MailboxDefaults(Model):
    """What holds for each Mailbox of the domain that does not say otherwise."""

    quota: Quota = Quota()
    """The most that a mailbox may hold."""
    protocols: Protocols = ["Submission", "IMAP", "POP3"]
    """What may be logged in to."""
    retention: Retention = []
    """Folders whose old messages are deleted; by default everything is kept."""


class Group(Model):
    """An address that stands for several."""

    local_part: LocalPart
    """What is before the @. A Mailbox that has it, also as an alias, goes before the group."""
    members: Annotated[list[LocalPart], Field(min_length=1, max_length=100), Unique()]
    """Local parts of the domain's Mailboxes, or of their aliases, each of which gets a copy."""


class MailDomainSpec(Model):
    """A domain that Mailpod serves."""

    RULES = (
        fixed("domainName", "mail is kept under it (make another MailDomain)"),
        fixed("servedByRef", "mail is in the other's bucket and does not move with it"),
        Rule(
            "(has(self.server) && has(self.server.storage)) == (has(oldSelf.server) && has(oldSelf.server.storage))",
            "server.storage cannot be set or removed later: mail does not move with it",
        ),
    )

    domain_name: DomainName
    """What is after the @."""
    alias_domains: Annotated[list[DomainName], Field(max_length=MAX_ALIAS_DOMAINS), Unique()] = []
    """Other domains in which each address of this one is an address too, with the same mailbox."""
    hostname: DomainName | None = None
    """What the server calls itself and clients connect to; by default `mail.` and the domain."""
    postmaster_ref: ObjectRef | None = None
    """The Mailbox that gets postmaster@ and abuse@; by default the domain's oldest."""
    allowed_reserved_local_parts: Annotated[list[ReservedLocalPart], Field(max_length=6), Unique()] = []
    """Local parts that stand for the domain's owner, which no Mailbox gets unless they stand here."""
    max_message_size: Annotated[Bytes, Field(json_schema_extra={"default": "50Mi"})] = parse_quantity("50Mi")
    """The largest message that is taken, as a quantity."""
    groups: Annotated[list[Group], Field(max_length=50), by_key("localPart")] = []
    """Addresses with several members."""
    catch_all: LocalPart | None = None
    """The local part whose Mailbox gets what is for no other address of the domain; by default it is refused."""
    sender_policies: Literal["Enforce", "Report"] = "Enforce"
    """Whether mail that fails DMARC is refused, or goes to Junk, as its author's domain wants; or is only marked."""
    trusted_sealers: Annotated[list[DomainName], Field(max_length=50), Unique()] = []
    """Domains of forwarders and mailing lists that are believed where they seal by ARC that DMARC passed, and it
    no longer does."""
    forwarding_policy: Literal["Internal", "Listed", "Any"] = "Internal"
    """Where Mailboxes' mail may go on to: domains that the same pods serve, those and forwardingDomains, or any."""
    forwarding_domains: Annotated[list[DomainName], Field(max_length=100), Unique()] = []
    """Of forwardingPolicy Listed: domains elsewhere."""
    mailbox_defaults: MailboxDefaults = MailboxDefaults()
    """What holds for each Mailbox of the domain that does not say otherwise."""
    tls: Tls | None = None
    """Where the certificate comes from; by default it is self-signed."""
    served_by_ref: ObjectRef | None = None
    """The MailDomain whose pods, Service and bucket serve this one too. It has a `server` of its own, or neither."""
    server: Server | None = None
    """Pods, Service and bucket of its own. Without it and servedByRef: what the installation has by default."""
    outbound: Outbound | None = None
    """How mail leaves for other domains."""
    mta_sts_policy: Literal["None", "Testing", "Enforce"] | None = None
    """The mode of the MTA-STS policy that is published (RFC 8461): whether others must deliver here by TLS. The
    certificate is then to be for `mta-sts.` and the domain too. None withdraws it; left out there is no policy."""

    @rule("!(has(self.servedByRef) && has(self.server))", "servedByRef and server exclude each other", ".server")
    def _one_server(self) -> bool:
        return self.served_by_ref is None or self.server is None

    @rule(
        "!(has(self.servedByRef) && has(self.outbound))",
        "servedByRef and outbound exclude each other: what leaves is sent by the other's pods",
        ".outbound",
    )
    def _one_sender(self) -> bool:
        return self.served_by_ref is None or self.outbound is None

    @rule(
        "!has(self.aliasDomains) || !(self.domainName in self.aliasDomains)",
        "aliasDomains has domainName in it",
        ".aliasDomains",
    )
    def _aliases_are_others(self) -> bool:
        return self.domain_name not in self.alias_domains

    @rule(
        "(self.forwardingPolicy == 'Listed') == (has(self.forwardingDomains) && self.forwardingDomains.size() > 0)",
        "forwardingDomains are for forwardingPolicy Listed, which needs some",
        ".forwardingDomains",
    )
    def _forwarding_is_listed(self) -> bool:
        return (self.forwarding_policy == "Listed") == bool(self.forwarding_domains)

    @rule(
        "quantity(string(self.maxMessageSize)).compareTo(quantity('1Gi')) <= 0",
        "maxMessageSize is more than 1Gi",
        ".maxMessageSize",
    )
    def _message_fits(self) -> bool:
        return self.max_message_size <= _MAX_MESSAGE


class MailDomain(Object):
    """A mail domain: who serves it, and what holds for its Mailboxes."""

    RULES = (
        Rule(
            "!has(self.spec.servedByRef) || self.spec.servedByRef.name != self.metadata.name",
            "servedByRef names this MailDomain itself",
            ".spec.servedByRef",
        ),
        Rule(
            "has(self.spec.servedByRef) ||"
            f" size(self.metadata.name) <= {_MAX_NAME} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            f"metadata.name must be a DNS label of at most {_MAX_NAME} characters that begins with a letter: its"
            " Service and pods are named after it",
        ),
    )

    api_version: Literal["mailpod.dev/v1alpha1"]
    kind: Literal["MailDomain"]
    spec: MailDomainSpec
    status: dict[str, object] = Field(default={}, exclude=True)

    @property
    def hostname(self) -> str:
        return self.spec.hostname or f"mail.{self.spec.domain_name}"

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """What its certificate is to be for, the hostname first."""
        if self.spec.mta_sts_policy is None:
            return (self.hostname,)
        return (self.hostname, *(f"mta-sts.{name}" for name in (self.spec.domain_name, *self.spec.alias_domains)))

    def may_forward_to(self, name: str) -> bool:
        """Whether mail may go on to a domain that is not served here."""
        return self.spec.forwarding_policy == "Any" or name in self.spec.forwarding_domains

    @property
    def is_host(self) -> bool:
        """Whether it has pods, Service and bucket of its own."""
        return self.spec.served_by_ref is None
