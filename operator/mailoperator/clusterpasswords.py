"""The verifier of a Mailbox: from the Secret that it names, or one that is generated for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from mailoperator.conditions import PASSWORD_READY, bad, good
from mailoperator.context import PasswordReport
from mailoperator.entries import address_of
from mailoperator.gather import domain_of, host_of
from mailoperator.model import Mailbox, MailDomain
from mailoperator.offered import Refused
from mailoperator.passwordhash import Hasher
from mailoperator.passwordsecrets import Creator, credential, generated_name
from mailoperator.world import World

Published: TypeAlias = Callable[[Mailbox], Awaitable[Sequence[str]]]
"""The verifiers that the directory has for a Mailbox now, believed only where signed; () where it has none."""


class Plane(Protocol):
    """What of the hosts' buckets is needed."""

    async def verifiers(self, host: MailDomain, address: str) -> tuple[str, ...]: ...


def in_directory(plane: Plane, world: World) -> Published:
    """By the Mailbox's MailDomain and host. Raises StorageFailed: while a bucket is away, nothing is hashed for it."""

    async def published(mailbox: Mailbox) -> Sequence[str]:
        raw = world.get("MailDomain", (mailbox.metadata.namespace, mailbox.spec.domain_ref.name))
        if raw is None:
            return ()
        domain = domain_of(raw)
        return await plane.verifiers(host_of(domain, world), str(address_of(mailbox, domain)))

    return published


class ClusterPasswords:
    """`context.Passwords`."""

    def __init__(self, kube: Creator, world: World, hasher: Hasher, published: Published) -> None:
        self._kube, self._world, self._hasher, self._published = kube, world, hasher, published

    async def report(self, mailbox: Mailbox) -> PasswordReport:
        """Raises ApiError, and what `published` raises.

        A Secret that is refused admits nobody: to take it away is to take the password away.
        """
        namespace = mailbox.metadata.namespace
        try:
            found = await credential(
                self._kube,
                mailbox,
                lambda name: self._world.get("Secret", (namespace, name)),
                proof=lambda box, password: self._hasher.proof(box.metadata.uid, password),
                made=self._world.put,  # so that its watch has no news, and nothing is done twice
            )
        except Refused as refused:
            ref = mailbox.spec.password_secret_ref
            name = ref.name if ref else generated_name(mailbox)
            return PasswordReport(bad(PASSWORD_READY, refused.reason, refused.message), name)
        verifier = found.verifier
        if found.password is not None:
            verifier = await self._hasher.verifier(
                mailbox.metadata.uid, found.password, lambda: self._published(mailbox), random=found.random
            )
        return PasswordReport(good(PASSWORD_READY), found.secret, (verifier,) if verifier else ())
