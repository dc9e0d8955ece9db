"""Verifiers for the passwords of manifests: argon2id, 19 MiB, two passes (OWASP's choice; about 20 ms: TARGETS.md).

A hash is made once a password: what was hashed is known again by an HMAC under the signing key, which lies in the same
folder and admits its reader to every mailbox anyway.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Final

from argon2 import PasswordHasher, Type

from mailoperator.localstate import LocalState
from mailoperator.manifests import Key, Manifests
from mailoperator.model import Mailbox, Secret
from mailoperator.references import password_secret
from mailpod.opaque import opaque_string

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
_AT_ONCE: Final = 2


def passwords(found: Manifests, state: LocalState) -> dict[Key, str | None]:
    """The password of each Mailbox, generated where its manifest names none; None where only a verifier is known."""
    references = {mailbox.key: password_secret(mailbox, found) for mailbox in found.mailboxes.values()}
    generated = state.generated_passwords("/".join(key) for key, reference in references.items() if reference is None)
    return {
        key: generated["/".join(key)] if reference is None else _password(*reference)
        for key, reference in references.items()
    }


def _password(secret: Secret, key: str) -> str | None:
    return None if key == Secret.VERIFIER else secret.value(key)


class Hasher:
    """Hashes what is new and remembers the rest, across runs."""

    def __init__(self, state: LocalState, signing_key: bytes) -> None:
        self._state = state
        self._key = signing_key
        self._known = state.verifiers()

    async def verifiers(self, found: Manifests, passwords: Mapping[Key, str | None]) -> dict[Key, str]:
        """One verifier a Mailbox."""
        slots = asyncio.Semaphore(_AT_ONCE)
        made = await asyncio.gather(
            *(self._one(box, passwords[box.key], found, slots) for box in found.mailboxes.values())
        )
        used = {print_: verifier for print_, verifier in made if print_}
        if used != self._known:
            self._known = used
            self._state.keep_verifiers(used)
        return dict(zip(found.mailboxes, (verifier for _, verifier in made), strict=True))

    async def _one(
        self, mailbox: Mailbox, password: str | None, found: Manifests, slots: asyncio.Semaphore
    ) -> tuple[str, str]:
        """Fingerprint and verifier; no fingerprint for a verifier that the Secret holds itself."""
        if password is None:
            reference = password_secret(mailbox, found)
            return "", (reference[0].value(reference[1]) or "") if reference else ""
        # the Mailbox is in it so that two with one password do not share a salt
        fingerprint = hmac.digest(self._key, "\0".join((*mailbox.key, password)).encode(), "sha256").hex()
        if fingerprint not in self._known:
            async with slots:
                return fingerprint, await asyncio.to_thread(_HASHER.hash, opaque_string(password))
        return fingerprint, self._known[fingerprint]
