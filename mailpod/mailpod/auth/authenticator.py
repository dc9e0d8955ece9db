"""Log-in: a name and a password to an Identity, for every protocol.

- Before the password was right, an answer never depends on whether the account exists, is suspended or may use the
  protocol; a wrong password and an unknown name take the same time.
- The waits of the throttle are spent in here, before the password is looked at.
- No credential is logged. The user's name is, once it is known to exist.
"""

from __future__ import annotations

from mailpod import logs, metrics
from mailpod.addresses import normalize
from mailpod.auth.identity import Identity, stamp_of
from mailpod.auth.throttle import Throttle
from mailpod.auth.verifier import Verifier
from mailpod.clock import Clock
from mailpod.config import PodSettings
from mailpod.directory import Directory, MailboxEntry
from mailpod.errors import AuthFailed, AuthRefused, MailError
from mailpod.net.peer import Peer, network_of

__all__ = ["Authenticator", "Identity"]


class Authenticator:
    """Logs users in against the directory."""

    def __init__(self, directory: Directory, settings: PodSettings, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._verifier = Verifier(
            clock,
            threads=settings.auth_threads,
            queue=settings.auth_queue,
            entries=settings.auth_cache_entries,
            seconds=settings.auth_cache_seconds,
        )
        self._throttle = Throttle(
            clock,
            free=settings.throttle_free_failures,
            first=settings.throttle_first_delay,
            longest=settings.throttle_longest_delay,
            decay=settings.throttle_decay_seconds,
            entries=settings.throttle_entries,
        )
        metrics.LOGIN_SUSPECTS.set_function(lambda: len(self._throttle))

    async def login(self, username: str, password: str, *, peer: Peer, protocol: str) -> Identity:
        """The identity of who logs in with `protocol` ("smtp" for submission, "imap", "pop3").

        Raises AuthFailed, AuthRefused (right password; suspended, or not this protocol), Unavailable, Busy.
        """
        address = _address(username)
        account_key, network_key = f"account {address}", f"network {network_of(peer.host)}"
        await self._wait(protocol, account_key, network_key)
        try:
            identity = await self._check(address, password, protocol)
        except AuthFailed:
            self._throttle.failed(account_key, network_key)
            self._record("failed", protocol, peer, "")
            raise
        except AuthRefused:
            self._record("refused", protocol, peer, address)
            raise
        except MailError:
            self._record("unavailable", protocol, peer, "")
            raise
        self._throttle.succeeded(account_key)
        self._record("ok", protocol, peer, identity.address)
        return identity

    def close(self) -> None:
        """Stop the threads."""
        self._verifier.close()

    async def _wait(self, protocol: str, *keys: str) -> None:
        delay = self._throttle.delay(*keys)
        if delay:
            metrics.LOGIN_WAITS.labels(protocol).inc()
            await self._clock.sleep(delay)

    async def _check(self, address: str, password: str, protocol: str) -> Identity:
        entry = await self._entry(address)
        if not await self._verifier.verify(entry.verifiers if entry else (), password) or entry is None:
            raise AuthFailed
        if entry.suspended or protocol not in entry.protocols:
            raise AuthRefused
        return Identity(entry.address, entry, await self._directory.account(entry), stamp_of(entry))

    async def _entry(self, address: str) -> MailboxEntry | None:
        entry = await self._directory.lookup(address) if address else None
        # Log-in is by the mailbox's own address, not by an alias that may be several people's.
        return entry if entry is not None and entry.address == address else None

    def _record(self, outcome: str, protocol: str, peer: Peer, user: str) -> None:
        metrics.LOGINS.labels(protocol, outcome).inc()
        known = {"user": user} if user else {}
        logs.event(f"{protocol}.login", outcome=outcome, peer=peer.host, **known)


def _address(username: str) -> str:
    """The normal form of what was typed; empty if it cannot be an address."""
    try:
        return str(normalize(username))
    except ValueError:
        return ""
