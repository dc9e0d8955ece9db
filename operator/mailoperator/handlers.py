"""From what is seen to what is to be looked at: which jobs follow from a change of an object. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from mailoperator import conditions as c
from mailoperator import world as world_module
from mailoperator.context import RECONCILE_AT, Job
from mailoperator.gather import condition_of, holds, host_key
from mailoperator.world import Key, World, key_of

Raw: TypeAlias = dict[str, Any]
_WATCHED_OF_HOST: Final = (c.STORAGE_READY, c.AVAILABLE, c.DOMAIN_ACCEPTED)


def seen(world: World, type: str | None, raw: Raw) -> list[Job]:
    """Take in an event of a watch; the jobs that follow. `type` is Kubernetes's, None for a first listing."""
    kind, key = raw["kind"], key_of(raw)
    before = world.get(kind, key)
    deleted = type == "DELETED"
    news = world.remove(kind, key, uid=raw["metadata"].get("uid")) if deleted else world.put(raw)
    kept = raw if deleted else world.get(kind, key) or raw  # as `before` is kept: both without what is not looked at
    return list(dict.fromkeys(_jobs(world, before, kept, deleted))) if news else []


def everything(world: World) -> Iterator[Job]:
    """What the sweep looks at: hosts first, as others wait for them; what is gone, to be withdrawn, before all."""
    for kind, key in world.gone:
        yield ("Mailbox" if kind == "Mailbox" else "MailDomain"), key
    domains = world.all("MailDomain")
    for raw in sorted(domains, key=lambda raw: host_key(raw) != key_of(raw)):
        yield "MailDomain", key_of(raw)
    for raw in domains:
        if host_key(raw) == key_of(raw):
            yield "Directory", key_of(raw)  # what it reads, Mailboxes need not read again
    for key in world.keys("Mailbox"):
        yield "Mailbox", key


def _jobs(world: World, before: Raw | None, raw: Raw, deleted: bool) -> Iterator[Job]:
    key = key_of(raw)
    match raw["kind"]:
        case "MailDomain":
            yield from _of_domain(world, before, raw, deleted)
        case "Mailbox":
            yield from _of_mailbox(world, before, raw, deleted)
        case "Secret" | world_module.TLS_SECRET:
            for user in world.users_of_secret(key):
                yield user["kind"], key_of(user)
                if user["kind"] == "MailDomain":
                    yield "MailDomain", host_key(user)  # packs its keys
        case _:  # a child: its owner
            for owner in raw["metadata"].get("ownerReferences") or []:
                if owner.get("kind") == "MailDomain":
                    yield "MailDomain", (key[0], owner["name"])


def _of_domain(world: World, before: Raw | None, raw: Raw, deleted: bool) -> Iterator[Job]:
    key = key_of(raw)
    if deleted or _is_asked(before, raw):
        yield "MailDomain", key
        yield "MailDomain", host_key(raw)  # packs its keys, counts it
        for name in (raw["spec"].get("domainName", ""), *(raw["spec"].get("aliasDomains") or [])):
            yield from (("MailDomain", key_of(other)) for other in world.with_name(name))  # who waited for the name
    if before is not None and _reconcile_at(before) != _reconcile_at(raw):
        yield "Directory", host_key(raw)
    if deleted or _is_asked(before, raw) or _flipped(before, raw):
        yield from (("MailDomain", key_of(other)) for other in world.served_by(key))
        yield from (("Mailbox", key_of(box)) for box in _mailboxes_behind(world, key))


def _mailboxes_behind(world: World, key: Key) -> Iterator[Raw]:
    yield from world.mailboxes_of(key)
    for other in world.served_by(key):
        yield from world.mailboxes_of(key_of(other))


def _of_mailbox(world: World, before: Raw | None, raw: Raw, deleted: bool) -> Iterator[Job]:
    if not deleted:
        if _is_asked(before, raw):
            yield "Mailbox", key_of(raw)
        if before is None or holds(before, c.PUBLISHED) != holds(raw, c.PUBLISHED):
            yield "MailDomain", _domain_of(raw)  # it counts them, and its oldest is postmaster
        return
    yield "Mailbox", key_of(raw)  # to be withdrawn
    yield "MailDomain", _domain_of(raw)
    for other in world.mailboxes_of(_domain_of(raw)):
        if waits_for_address(other):  # perhaps for what is free now
            yield "Mailbox", key_of(other)


def waits_for_address(mailbox: Raw) -> bool:
    """Whether a Mailbox was refused an address that another has."""
    told = [condition_of(mailbox, type) for type in (c.ADDRESS_ACCEPTED, c.PUBLISHED)]
    return any(one is not None and one.reason == c.ADDRESS_TAKEN for one in told)


def _domain_of(raw: Raw) -> Key:
    return key_of(raw)[0], raw["spec"]["domainRef"]["name"]


def _is_asked(before: Raw | None, raw: Raw) -> bool:
    """Whether something changed that we did not write: all but the status, by what the API server counts."""
    return before is None or _intent(before) != _intent(raw)


def _intent(raw: Raw) -> tuple[Any, ...]:
    metadata = raw["metadata"]
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("annotations") or {},
        metadata.get("finalizers") or [],
    )


def _reconcile_at(raw: Raw) -> str | None:
    """Set by a person who wants all of it looked at now, the directory too."""
    return (raw["metadata"].get("annotations") or {}).get(RECONCILE_AT)


def _flipped(before: Raw | None, raw: Raw) -> bool:
    return any(condition_of(before, type) != condition_of(raw, type) for type in _WATCHED_OF_HOST)
