"""What manifests say of each other: references that lead somewhere, and no address that two objects want."""

from __future__ import annotations

from collections.abc import Iterator

from mailoperator.manifests import Key, ManifestError, Manifests
from mailoperator.model import RESERVED_LOCAL_PARTS, Mailbox, MailDomain, Object, Secret
from mailpod.addresses import Address


def check(found: Manifests) -> None:
    """Raises ManifestError with every reference that leads nowhere and every address claimed twice."""
    problems = [*_domains(found), *_mailboxes(found), *_addresses(found), *_members(found), *_forwards(found)]
    if problems:
        raise ManifestError(problems)


def domain_key(mailbox: Mailbox) -> Key:
    return mailbox.metadata.namespace, mailbox.spec.domain_ref.name


def is_reserved(local_part: str, domain: MailDomain) -> bool:
    """Whether a Mailbox of the domain cannot have this local part (OPERATOR.md rule 39)."""
    return local_part in RESERVED_LOCAL_PARTS and local_part not in domain.spec.allowed_reserved_local_parts


def password_secret(mailbox: Mailbox, found: Manifests) -> tuple[Secret, str] | None:
    """The Secret with a Mailbox's password, and the key in it; None where a password is generated.

    Raises ValueError, whose text says what is missing.
    """
    ref = mailbox.spec.password_secret_ref
    if ref is None:
        return None
    secret = found.secrets.get((mailbox.metadata.namespace, ref.name))
    if secret is None:
        raise ValueError(f"no Secret {mailbox.metadata.namespace}/{ref.name}")
    for key in [ref.key] if ref.key else ["password", Secret.VERIFIER]:
        value = secret.value(key)
        if value == "":
            raise ValueError(f"{key} of {secret.title} is empty")
        if value is not None and key == Secret.VERIFIER and not value.startswith("$argon2id$"):
            raise ValueError(f"{key} of {secret.title} is not an argon2id hash ($argon2id$…)")
        if value is not None:
            return secret, key
    raise ValueError(f"{secret.title} has no key {ref.key or 'password, nor verifier'}")


def smarthost_credentials(domain: MailDomain, found: Manifests) -> dict[str, str]:
    """`username` and `password` for the domain's smarthost; {} where none are named. Raises ValueError."""
    outbound = domain.spec.outbound
    ref = outbound.smarthost.credentials_secret_ref if outbound and outbound.smarthost else None
    if ref is None:
        return {}
    secret = found.secrets.get((domain.metadata.namespace, ref.name))
    if secret is None:
        raise ValueError(f"no Secret {domain.metadata.namespace}/{ref.name}")
    values = {key: secret.value(key) for key in ("username", "password")}
    if missing := [key for key, value in values.items() if not value]:
        raise ValueError(f"{secret.title} has no key {missing[0]}")
    return {key: value for key, value in values.items() if value}


def _domains(found: Manifests) -> Iterator[str]:
    claimed: dict[str, Object] = {}
    for domain in found.domains.values():
        fields = [("spec.domainName", domain.spec.domain_name)]
        fields += [(f"spec.aliasDomains[{index}]", name) for index, name in enumerate(domain.spec.alias_domains)]
        for where, name in fields:
            other = claimed.setdefault(name, domain)
            if other is not domain:
                yield f'{found.place(domain)}: {where}: "{name}" is {other.title}\'s already'
        try:
            smarthost_credentials(domain, found)
        except ValueError as error:
            yield f"{found.place(domain)}: spec.outbound.smarthost.credentialsSecretRef: {error}"
        ref = domain.spec.postmaster_ref
        if ref and (domain.metadata.namespace, ref.name) not in found.mailboxes:
            yield f"{found.place(domain)}: spec.postmasterRef.name: no Mailbox {domain.metadata.namespace}/{ref.name}"
        if problem := _host_problem(domain, found):
            yield f"{found.place(domain)}: spec.servedByRef.name: {problem}"


def _host_problem(domain: MailDomain, found: Manifests) -> str | None:
    """Whoever serves another is not itself served by one (OPERATOR.md rule 30)."""
    ref = domain.spec.served_by_ref
    if ref is None:
        return None
    host = found.domains.get((domain.metadata.namespace, ref.name))
    if host is None:
        return f"no MailDomain {domain.metadata.namespace}/{ref.name}"
    return None if host.is_host else f"{host.title} is itself served by another: name that one"


def _mailboxes(found: Manifests) -> Iterator[str]:
    for mailbox in found.mailboxes.values():
        if domain_key(mailbox) not in found.domains:
            yield f"{found.place(mailbox)}: spec.domainRef.name: no MailDomain {'/'.join(domain_key(mailbox))}"
        try:
            password_secret(mailbox, found)
        except ValueError as error:
            yield f"{found.place(mailbox)}: spec.passwordSecretRef: {error}"


def _members(found: Manifests) -> Iterator[str]:
    """Groups and catchAll name local parts of the domain's Mailboxes."""
    known: dict[Key, set[str]] = {}
    for mailbox in found.mailboxes.values():
        known.setdefault(domain_key(mailbox), set()).update((mailbox.local_part, *mailbox.spec.aliases))
    for domain in found.domains.values():
        named = [("spec.catchAll", domain.spec.catch_all)] if domain.spec.catch_all else []
        for number, group in enumerate(domain.spec.groups):
            if group.local_part in known.get(domain.key, ()):
                yield f"{found.place(domain)}: spec.groups[{number}]: {group.local_part} is a Mailbox's already"
            named += [(f"spec.groups[{number}].members[{at}]", member) for at, member in enumerate(group.members)]
        for where, local in named:
            if local not in known.get(domain.key, ()):
                yield f"{found.place(domain)}: {where}: no Mailbox of {domain.title} has {local}"


def _forwards(found: Manifests) -> Iterator[str]:
    served = {name for domain in found.domains.values() for name in domain_names(domain)}
    for mailbox in found.mailboxes.values():
        domain = found.domains.get(domain_key(mailbox))
        for number, target in enumerate(mailbox.spec.forwarding.to if mailbox.spec.forwarding else ()):
            name = target.rpartition("@")[2]
            if domain is not None and name not in served and not domain.may_forward_to(name):
                where = f"{found.place(mailbox)}: spec.forwarding.to[{number}]"
                yield (
                    f"{where}: {target} is of no domain here, and forwardingPolicy {domain.spec.forwarding_policy}"
                    f" of {domain.title} lets no mail go there"
                )


def domain_names(domain: MailDomain) -> list[str]:
    """Domains in which each address of this one is an address, its own first."""
    return [domain.spec.domain_name, *domain.spec.alias_domains]


def _addresses(found: Manifests) -> Iterator[str]:
    claimed: dict[Address, tuple[Mailbox, str]] = {}
    for mailbox in found.mailboxes.values():
        domain = found.domains.get(domain_key(mailbox))
        if domain is None:
            continue
        fields = [("spec.localPart", mailbox.local_part)]
        fields += [(f"spec.aliases[{index}]", alias) for index, alias in enumerate(mailbox.spec.aliases)]
        for where, local in fields:
            address = Address(local, domain.spec.domain_name)
            if is_reserved(local, domain):
                yield (
                    f"{found.place(mailbox)}: {where}: {address} stands for the domain's owner:"
                    f" write {local} in allowedReservedLocalParts of {domain.title}, or leave it"
                )
            if address in claimed:
                other, there = claimed[address]
                yield f"{found.place(mailbox)}: {where}: {address} is {other.title}'s already ({there})"
            else:
                claimed[address] = mailbox, where
