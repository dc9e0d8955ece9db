"""Custom resources as the directory entries that pods read: pure, and the same for local mode and the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from mailoperator.manifests import Key, Manifests
from mailoperator.model import Group, Mailbox, MailDomain
from mailoperator.references import domain_key, domain_names
from mailpod.addresses import Address
from mailpod.directory import LATER, AliasEntry, DomainEntry, Entry, MailboxEntry

PROTOCOLS: Final = {"Submission": "smtp", "IMAP": "imap", "POP3": "pop3"}


def build_entries(found: Manifests, verifiers: Mapping[Key, str]) -> list[Entry]:
    """Every entry of a set of manifests that references.check let through. `verifiers` has one a Mailbox.

    For pods that are started with this very code, in local mode.
    """
    entries: list[Entry] = []
    for domain in found.domains.values():
        entries += domain_entries(domain, postmaster(domain, found), LATER)
    for mailbox in found.mailboxes.values():
        entries += entries_of(mailbox, found.domains[domain_key(mailbox)], verifiers[mailbox.key])
    return entries


def domain_entries(
    domain: MailDomain, postmaster: Address | None, reads: tuple[str, ...] = ()
) -> Iterator[DomainEntry]:
    """Of the domain and of its aliases, which differ in the name alone. `reads`: what all its pods are known to."""
    entry = domain_entry(domain, postmaster, reads)
    yield entry
    for alias in domain_names(domain)[1:]:
        yield msgspec.structs.replace(entry, name=alias)


def entries_of(mailbox: Mailbox, domain: MailDomain, verifier: str) -> Iterator[Entry]:
    """Of one Mailbox. Without a verifier nobody can log in, and mail is received."""
    yield mailbox_entry(mailbox, domain, verifier)
    yield from alias_entries(mailbox, domain)


def address_of(mailbox: Mailbox, domain: MailDomain) -> Address:
    return Address(mailbox.local_part, domain.spec.domain_name)


def postmaster(domain: MailDomain, found: Manifests) -> Address | None:
    """Who gets postmaster@ and abuse@: postmasterRef, or the domain's oldest Mailbox, or nobody in an empty domain.

    Where no creation time is known, as in a file, the order of the manifests counts.
    """
    if ref := domain.spec.postmaster_ref:
        chosen = found.mailboxes[domain.metadata.namespace, ref.name]
        return address_of(chosen, found.domains[domain_key(chosen)])
    members = [mailbox for mailbox in found.mailboxes.values() if domain_key(mailbox) == domain.key]
    oldest = min(members, key=_age, default=None)
    return address_of(oldest, domain) if oldest else None


def _age(mailbox: Mailbox) -> tuple[str, str]:
    created = mailbox.metadata.creation_timestamp or ""
    return created, mailbox.metadata.name if created else ""  # times are whole seconds


def domain_entry(domain: MailDomain, postmaster: Address | None, reads: tuple[str, ...] = ()) -> DomainEntry:
    return DomainEntry(
        name=domain.spec.domain_name,
        hostname=domain.hostname,
        max_message_bytes=domain.spec.max_message_size,
        sender_policies=domain.spec.sender_policies.lower(),
        trusted_sealers=tuple(domain.spec.trusted_sealers),
        forwarding=domain.spec.forwarding_policy.lower(),
        forwarding_domains=tuple(domain.spec.forwarding_domains),
        groups={group.local_part: _members(group, domain) for group in domain.spec.groups},
        catch_all=str(Address(domain.spec.catch_all, domain.spec.domain_name)) if domain.spec.catch_all else None,
        postmaster=str(postmaster) if postmaster else None,
        mta_sts=(domain.spec.mta_sts_policy or "").lower(),
        reads=reads,
        owner=_owner(domain),
        generation=domain.metadata.generation,
    )


def _members(group: Group, domain: MailDomain) -> tuple[str, ...]:
    return tuple(str(Address(member, domain.spec.domain_name)) for member in group.members)


def mailbox_entry(mailbox: Mailbox, domain: MailDomain, verifier: str) -> MailboxEntry:
    address, defaults, forwarding = address_of(mailbox, domain), domain.spec.mailbox_defaults, mailbox.spec.forwarding
    protocols = defaults.protocols if mailbox.spec.protocols is None else mailbox.spec.protocols
    retention = defaults.retention if mailbox.spec.retention is None else mailbox.spec.retention
    return MailboxEntry(
        address=str(address),
        domain=address.domain,
        local=address.local,
        verifiers=(verifier,) if verifier else (),
        quota_bytes=mailbox.spec.quota.storage or defaults.quota.storage,
        quota_messages=mailbox.spec.quota.messages or defaults.quota.messages,
        protocols=tuple(wire for name, wire in PROTOCOLS.items() if name in protocols),
        retention={entry.folder: entry.days for entry in retention},
        suspended=mailbox.spec.suspended,
        forward_to=tuple(forwarding.to) if forwarding else (),
        keep_copy=forwarding is None or forwarding.keep_copy == "Enabled",
        owner=_owner(mailbox),
        generation=mailbox.metadata.generation,
    )


def alias_entries(mailbox: Mailbox, domain: MailDomain) -> Iterator[AliasEntry]:
    """Its other local parts, and all of its local parts in the alias domains."""
    target = address_of(mailbox, domain)
    for address in addresses_of(mailbox, domain):
        if address == target:
            continue
        yield AliasEntry(
            address=str(address),
            domain=address.domain,
            local=address.local,
            targets=(str(target),),
            owner=_owner(mailbox),
            generation=mailbox.metadata.generation,
        )


def addresses_of(mailbox: Mailbox, domain: MailDomain) -> list[Address]:
    """Every address of a Mailbox, its own first."""
    locals = [mailbox.local_part, *mailbox.spec.aliases]
    return [Address(local, name) for name in domain_names(domain) for local in locals]


def _owner(thing: MailDomain | Mailbox) -> str:
    """The object's uid; one that comes from a file has none, and is known by its name."""
    return thing.metadata.uid or f"file:{'/'.join(thing.key)}"
