"""What follows from the operator's memory alone: models of raw objects, who serves whom, who owns what. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from mailoperator import conditions as c
from mailoperator.conditions import Condition
from mailoperator.entries import address_of
from mailoperator.manifests import Manifests
from mailoperator.model import Mailbox, MailDomain
from mailoperator.problems import complaint
from mailoperator.quantity import parse_quantity
from mailoperator.references import domain_key, is_reserved
from mailoperator.world import Key, World, domain_names_of, key_of
from mailpod.addresses import Address

Raw: TypeAlias = dict[str, Any]
_MOST_WORDS: Final = 3


class Unusable(Exception):
    """An object cannot be served as it is; `condition` says why."""

    def __init__(self, condition: Condition) -> None:
        super().__init__(condition.message)
        self.condition = condition


def domain_of(raw: Raw) -> MailDomain:
    """Raises Unusable, where the schema let something through that the model does not."""
    try:
        return MailDomain.model_validate(raw)
    except ValidationError as error:
        raise Unusable(c.bad(c.DOMAIN_ACCEPTED, c.INVALID, _words(MailDomain, error))) from None


def mailbox_of(raw: Raw) -> Mailbox:
    """Raises Unusable."""
    try:
        return Mailbox.model_validate(raw)
    except ValidationError as error:
        raise Unusable(c.bad(c.ADDRESS_ACCEPTED, c.INVALID, _words(Mailbox, error))) from None


def _words(model: type[MailDomain | Mailbox], error: ValidationError) -> str:
    details = error.errors(include_url=False)[:_MOST_WORDS]
    return "; ".join(complaint(model, detail) for detail in details)


def host_key(raw: Raw) -> Key:
    """Whose pods serve a MailDomain: another's, or its own."""
    namespace, name = key_of(raw)
    ref = (raw.get("spec") or {}).get("servedByRef")
    return (namespace, ref["name"]) if ref else (namespace, name)


def host_of(domain: MailDomain, world: World) -> MailDomain:
    """The MailDomain whose pods and bucket serve this one. Raises Unusable (rule 30: depth one)."""
    ref = domain.spec.served_by_ref
    if ref is None:
        return domain
    raw = world.get("MailDomain", (domain.metadata.namespace, ref.name))
    if raw is None or raw["metadata"].get("deletionTimestamp"):
        words = f"servedByRef: there is no MailDomain {ref.name} in this namespace"
        raise Unusable(c.bad(c.DOMAIN_ACCEPTED, c.HOST_MISSING, words))
    host = domain_of(raw)
    if not host.is_host:
        words = f"servedByRef: {ref.name} is itself served by another; name that one"
        raise Unusable(c.bad(c.DOMAIN_ACCEPTED, c.HOST_NOT_A_SERVER, words))
    return host


def rival_domain(domain: MailDomain, raw: Raw, world: World) -> Condition | None:
    """Where another MailDomain has one of the names: who was accepted with it wins, else the oldest (rule 39)."""
    for name in (domain.spec.domain_name, *domain.spec.alias_domains):
        for other in world.with_name(name):
            if other["metadata"]["uid"] != domain.metadata.uid and _claim_to(name, other) < _claim_to(name, raw):
                place = "/".join(key_of(other))
                return c.bad(c.DOMAIN_ACCEPTED, c.DOMAIN_TAKEN, f"{name} is MailDomain {place}'s already")
    return None


def rival_mailbox(mailbox: Mailbox, raw: Raw, world: World) -> Condition | None:
    """The same of addresses, among the Mailboxes of one MailDomain."""
    if holds(raw, c.ADDRESS_ACCEPTED):  # published: the directory says whose it is
        return None
    domain = mailbox.metadata.namespace, mailbox.spec.domain_ref.name
    for local in (mailbox.local_part, *mailbox.spec.aliases):
        for other in world.with_local_part(domain, local):
            if other["metadata"]["uid"] != mailbox.metadata.uid and precedence(other) < precedence(raw):
                words = f"{local}@ is Mailbox {key_of(other)[1]}'s already"
                return c.bad(c.ADDRESS_ACCEPTED, c.ADDRESS_TAKEN, words)
    return None


def precedence(raw: Raw) -> tuple[bool, str, str]:
    """Smaller wins: accepted, then older."""
    metadata = raw["metadata"]
    accepted = holds(raw, c.DOMAIN_ACCEPTED) or holds(raw, c.ADDRESS_ACCEPTED)
    return not accepted, metadata.get("creationTimestamp") or "", metadata.get("uid", "")


def _claim_to(name: str, raw: Raw) -> tuple[bool, bool, bool, str, str]:
    """Smaller wins. The domainName is for life; an alias domain may have been added since it was accepted."""
    accepted = condition_of(raw, c.DOMAIN_ACCEPTED)
    observed = next(
        (line.get("observedGeneration") for line in _lines(raw) if line.get("type") == c.DOMAIN_ACCEPTED), None
    )
    holds_it = accepted is not None and accepted.holds
    is_alias = next(iter(domain_names_of(raw)), "") != name
    is_new = observed != raw["metadata"].get("generation")
    _, created, uid = precedence(raw)
    return not holds_it, is_alias, is_alias and is_new, created, uid


def holds(raw: Raw | None, type: str) -> bool:
    """Whether a condition of an object's status is True."""
    found = condition_of(raw, type)
    return found is not None and found.holds


def told_bytes(raw: Raw | None) -> int | None:
    """What a Mailbox's status says that it holds."""
    usage = ((raw or {}).get("status") or {}).get("usage")
    return parse_quantity(usage["bytes"]) if usage else None


def condition_of(raw: Raw | None, type: str) -> Condition | None:
    for line in _lines(raw):
        if line.get("type") == type:
            return Condition(type, line["status"], line["reason"], line.get("message", ""))
    return None


def _lines(raw: Raw | None) -> list[Raw]:
    return ((raw or {}).get("status") or {}).get("conditions") or []


def members_of(host: MailDomain, domains: Iterable[Raw], mailboxes: Iterable[Raw], world: World) -> Manifests:
    """The host's domains that were not refused, nor would be, and their Mailboxes, of two complete lists."""
    found = Manifests()
    for raw in domains:
        if host_key(raw) != host.key or raw["metadata"].get("deletionTimestamp"):
            continue
        try:
            domain = domain_of(raw)
        except Unusable:
            continue
        refused = condition_of(raw, c.DOMAIN_ACCEPTED)
        if (refused is None or refused.status != "False") and rival_domain(domain, raw, world) is None:
            found.domains[domain.key] = domain
    _add_mailboxes(found, mailboxes)
    return found


def postmaster_of(domain: MailDomain, world: World) -> Address | None:
    """Who gets postmaster@: as `entries.postmaster` says, of the operator's memory."""
    raws = world.mailboxes_of(domain.key)
    if ref := domain.spec.postmaster_ref:
        named = world.get("Mailbox", (domain.metadata.namespace, ref.name))
        raws = [named] if named is not None else []
    usable = [raw for raw in raws if not raw["metadata"].get("deletionTimestamp") and not _refused(raw)]
    if not usable:
        return None
    oldest = min(usable, key=lambda raw: (raw["metadata"].get("creationTimestamp") or "", raw["metadata"]["name"]))
    found = Manifests(domains={domain.key: domain})
    _add_mailboxes(found, [oldest])
    return next((address_of(mailbox, domain) for mailbox in found.mailboxes.values()), None)


def _refused(raw: Raw) -> bool:
    condition = condition_of(raw, c.ADDRESS_ACCEPTED)
    return condition is not None and condition.status == "False"


def reserved_in(mailbox: Mailbox, domain: MailDomain) -> str | None:
    """A local part of a Mailbox that its domain does not give away (rule 39)."""
    locals = (mailbox.local_part, *mailbox.spec.aliases)
    return next((local for local in locals if is_reserved(local, domain)), None)


def _add_mailboxes(found: Manifests, mailboxes: Iterable[Raw]) -> None:
    for raw in mailboxes:
        if raw["metadata"].get("deletionTimestamp"):
            continue
        try:
            mailbox = mailbox_of(raw)
        except Unusable:
            continue
        domain = found.domains.get(domain_key(mailbox))
        if domain is not None and not _refused(raw) and not reserved_in(mailbox, domain):
            found.mailboxes[mailbox.key] = mailbox
