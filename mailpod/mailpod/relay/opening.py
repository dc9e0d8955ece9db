"""Opening a session: connect, greeting, EHLO, TLS as the policy wants it, log-in.

- Nothing but EHLO, STARTTLS and QUIT is said before TLS is what a mandatory policy demands.
- How TLS went is recorded once a connection.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailpod.clock import Clock
from mailpod.relay import capabilities, login
from mailpod.relay.capabilities import Capabilities
from mailpod.relay.replies import Reply
from mailpod.relay.session import Session
from mailpod.relay.settings import OutboundSettings
from mailpod.relay.wire import Lost, Wire
from mailpod.tlspolicy.failure import Failure
from mailpod.tlspolicy.policy import Policies, Policy

_NO_EHLO: Final = frozenset({500, 501, 502, 504, 550})  # RFC 5321 §3.2, §4.1.4: then HELO


class CannotOpen(Exception):
    """No session with this address. `status` is RFC 3463's; another address, or another time, may do."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class NoTls(Exception):
    """STARTTLS failed and the policy lets it pass: connect again, without it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and how. `policy` None: no TLS, whatever is offered."""

    host: str
    address: str
    port: int
    policy: Policy | None
    implicit: bool = False
    """TLS from the first byte (RFC 8314 §3.3)."""
    credentials: Path | None = None


class Opener:
    """One per pod."""

    def __init__(self, settings: OutboundSettings, policies: Policies, clock: Clock, hostname: str) -> None:
        self._settings, self._policies, self._clock, self._hostname = settings, policies, clock, hostname

    async def open(self, target: Target) -> Session:
        """Raises CannotOpen."""
        try:
            return await self._open(target, clear=target.policy is None)
        except NoTls:
            return await self._open(target, clear=True)

    async def _open(self, target: Target, *, clear: bool) -> Session:
        wire = await self._connect(target)
        try:
            return await self._prepare(wire, target, clear=clear)
        except BaseException as error:
            wire.abort()
            if isinstance(error, Lost):
                raise CannotOpen("4.4.2", str(error)) from None
            raise

    async def _connect(self, target: Target) -> Wire:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                _, wire = await loop.create_connection(Wire, target.address, target.port)
        except TimeoutError:
            raise CannotOpen("4.4.1", "no answer in time") from None
        except OSError as error:
            raise CannotOpen("4.4.1", (error.strerror or "cannot connect").lower()) from None
        return wire

    async def _prepare(self, wire: Wire, target: Target, *, clear: bool) -> Session:
        limits = self._settings
        if target.implicit:
            await self._handshake(wire, target)
        greeting = await wire.reply(limits.greeting_timeout)
        if greeting.code != 220:
            raise _refused(greeting)
        offered = await self._hello(wire)
        if not clear and not target.implicit:
            offered = await self._start_tls(wire, target, offered)
        policy = target.policy
        required = policy is not None and policy.require_extension
        if required and not offered.requiretls:
            raise CannotOpen("5.7.30", "the server does not offer REQUIRETLS")  # RFC 8689 §5
        if target.credentials is not None:
            await self._log_in(wire, target.credentials, offered)
        return Session(wire, target.host, offered, limits, self._clock, secure=required)

    async def _hello(self, wire: Wire) -> Capabilities:
        wire.write(f"EHLO {self._hostname}\r\n".encode())
        reply = await wire.reply(self._settings.command_timeout)
        if reply.code == 250:
            return capabilities.parse(reply)
        if reply.code not in _NO_EHLO:
            raise _refused(reply)
        wire.write(f"HELO {self._hostname}\r\n".encode())
        reply = await wire.reply(self._settings.command_timeout)
        if reply.code != 250:
            raise _refused(reply)
        return Capabilities()

    async def _start_tls(self, wire: Wire, target: Target, offered: Capabilities) -> Capabilities:
        policy = target.policy
        assert policy is not None
        if offered.starttls:
            wire.write(b"STARTTLS\r\n")
            reply = await wire.reply(self._settings.command_timeout)
            if reply.code == 220:
                await self._handshake(wire, target)
                return await self._hello(wire)  # RFC 3207 §4.2: what was offered before is forgotten
        failure = policy.no_tls(target.host)
        self._policies.record(policy, target.host, failure)
        if policy.mandatory:
            raise _insecure(failure)
        return offered

    async def _handshake(self, wire: Wire, target: Target) -> None:
        policy, host = target.policy, target.host
        assert policy is not None
        try:
            await wire.start_tls(policy.context(host), policy.sni(host), self._settings.connect_timeout)
        except (OSError, ssl.SSLError):  # TimeoutError is an OSError
            failure = policy.no_tls(host)
            self._policies.record(policy, host, failure)
            if policy.mandatory:
                raise _insecure(failure) from None
            raise NoTls from None
        connection = wire.tls
        assert connection is not None
        wrong = policy.check(host, connection)
        self._policies.record(policy, host, wrong)
        if wrong is not None and policy.mandatory:
            raise _insecure(wrong)

    async def _log_in(self, wire: Wire, folder: Path, offered: Capabilities) -> None:
        try:
            lines = login.exchange(await login.read_credentials(folder), offered.auth)
        except login.NoMechanism:
            raise CannotOpen("4.7.0", "the smarthost offers no way to log in that is known here") from None
        except (OSError, UnicodeDecodeError):
            raise CannotOpen("4.7.0", "the smarthost's credentials cannot be read") from None
        reply: Reply | None = None
        for line in lines:
            if reply is not None and reply.code != 334:
                break
            wire.write(line)
            reply = await wire.reply(self._settings.command_timeout)
        if reply is None or reply.code != 235:
            # temporary whatever the server says: a wrong password is mended here, and no reason to bounce
            raise CannotOpen("4.7.8", f"the smarthost refuses to log us in: {reply.text if reply else ''}")


def _refused(reply: Reply) -> CannotOpen:
    return CannotOpen(reply.status or ("5.3.0" if reply.permanent else "4.3.0"), reply.text)


def _insecure(failure: Failure) -> CannotOpen:
    return CannotOpen("4.7.5", failure.text)
