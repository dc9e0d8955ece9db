"""aiosmtpd's SMTP with its transport side, its command loop and its DATA reader replaced.

aiosmtpd gives the handler interface (`handle_MAIL` and its like), Session, Envelope and HELP; what is replaced here is
what costs CPU (TARGETS.md) or reads a bare LF as an end of line. tests/mailpod/smtp/test_aiosmtpd.py pins every private
name of it that is touched, with the version.

- One task a connection. It is never cancelled: a commit that has begun ends, whether or not the client waits for it.
- Whatever a session raises costs this connection and nothing else.
- What a transaction holds of the budget is given back when its envelope is left, in one place: `_leave_envelope`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from aiosmtpd.smtp import SMTP

from mailpod import logs, metrics
from mailpod.errors import MailError
from mailpod.net.peer import Peer, peer_of
from mailpod.smtp import replies
from mailpod.smtp.session import COMMANDS, MailEnvelope, MailSession, Rule, State, refusal
from mailpod.smtp.stream import BareNewline, Disconnected, Interrupted, LineTooLong, Stream, TimedOut
from mailpod.smtp.syntax import SyntaxProblem, split_command

if TYPE_CHECKING:
    from mailpod.services import Services

_HOOKS: Final = ("MAIL", "RCPT", "DATA")


class Connection(SMTP):
    """Transport, TLS, the command loop and its limits. Commands are the subclass's `smtp_…` methods."""

    session: MailSession
    envelope: MailEnvelope
    protocol: ClassVar[str] = "smtp"
    greeting: ClassVar[str] = "ESMTP"
    no_recipients: ClassVar[str] = replies.NO_RECIPIENTS
    withheld: ClassVar[frozenset[str]] = frozenset({"LHLO"})
    """Commands that this protocol does not have."""

    def __init__(self, services: Services, handler: Any, *, role: str, implicit_tls: bool) -> None:
        # SMTP.__init__ is not called: it inspects itself and the handler anew for every connection (0.3 ms), and makes
        # a StreamReader that nothing here would read.
        self.services = services
        self.settings = services.settings.smtp
        self.hostname = services.settings.hostname
        self.role = role
        self.event_handler = handler
        self.loop = asyncio.get_running_loop()
        self.stream = Stream(services.connections)
        self.announced: Peer | None = None  # the client, where a load balancer said who that is
        self._implicit_tls = implicit_tls
        self._handle_hooks: dict[str, Callable[..., Any]] = {
            name: getattr(handler, "handle_" + name) for name in _HOOKS
        }
        self._auth_required = role == "submission"
        self._admitted = False
        self._goodbye: str | None = None  # the 421 that ends the connection between two transactions
        self._errors = self._refused_recipients = self._commands = 0

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        peer = self.announced or peer_of(transport)
        self.transport = transport
        self.stream.attach(transport)
        self.session = MailSession(self.loop, peer)
        if transport.get_extra_info("ssl_object") is not None:  # the listener did the handshake (net/listener.py)
            self.session, self._implicit_tls = self._secured_session(peer, transport), False
        self.envelope = self._create_envelope()
        refused = self.services.connections.admit(self, self.protocol, peer.host) or self.unwelcome(peer.host)
        self._admitted = True
        if refused is not None:
            logs.event("connection.refused", protocol=self.protocol, peer=peer.host, reason=refused)
            self.reply(f"421 4.7.0 {self.hostname} {refused}, try again later")
            self.stream.close(self.services.settings.write_timeout)
            return
        self.services.connections.spawn(self._handle_client())

    def unwelcome(self, host: str) -> str | None:
        """Why a client of this address is not served, or None."""
        return None

    def data_received(self, data: bytes) -> None:
        self.stream.feed(data)

    def eof_received(self) -> bool:
        self.stream.feed_eof()
        return self.session.tls is None  # a half-closed plain connection still reads its replies

    def connection_lost(self, error: Exception | None) -> None:
        self.stream.lost()
        self.transport = None
        if self._admitted:
            self._admitted = False
            self.services.connections.leave(self, self.protocol, self.session.client.host)
        self._forget_identity()

    def pause_writing(self) -> None:
        self.stream.set_writable(False)

    def resume_writing(self) -> None:
        self.stream.set_writable(True)

    # the pod's side

    def on_drain(self) -> None:
        """The pod is stopping: 421 now, or after the message that is under way."""
        self._goodbye = self._goodbye or replies.DRAINING
        if not self._in_transaction():
            self.stream.interrupt(self._goodbye)

    def on_revoked(self) -> None:
        """The account was removed, suspended or has a new password."""
        self._goodbye = replies.REVOKED
        self.stream.interrupt(self._goodbye)

    def on_tick(self, now: float, slack: float) -> None:
        self.stream.tick(now - slack)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]

    # replies

    def reply(self, text: str) -> None:
        """Queue a reply; it leaves before the next wait for the client."""
        self.stream.write(replies.encode(text))

    async def push(self, status: str | bytes) -> None:
        """aiosmtpd's name for `reply`, which its own commands use."""
        self.reply(status.decode("ascii", "replace") if isinstance(status, bytes) else status)

    def refuse(self, text: str) -> None:
        """Reply with an error and count it."""
        self._errors += 1
        self.count_refusal(text)
        self.reply(text)

    def refuse_recipient(self, text: str) -> None:
        """Reply with an error to RCPT: a long list with some unknown names is not misbehaviour yet."""
        self._refused_recipients += 1
        self.count_refusal(text)
        self.reply(text)

    def count_refusal(self, text: str) -> None:
        metrics.smtp_refusals(self.role, text[:9].rstrip()).inc()

    # the loop

    async def _handle_client(self) -> None:
        try:
            self.reply(f"220 {self.hostname} {self.greeting} Mailpod")
            while self._goodbye is None or self._in_transaction():
                await self._command()
            self.reply(self._goodbye)
        except (Disconnected, ConnectionError):
            pass
        except TimedOut:
            self.reply(replies.TIMED_OUT)
        except Interrupted as end:
            self.reply(end.reply)
        except Exception as error:
            metrics.SESSION_CRASHES.labels(self.protocol).inc()
            logs.crash("session.crashed", error, protocol=self.protocol, peer=self.session.client.host)
            self.reply(replies.CRASHED)
        finally:
            self._leave_envelope()
            self.stream.close(self.services.settings.write_timeout)

    async def _command(self) -> None:
        """Read one command and answer it."""
        try:
            line = await self.stream.line(self.settings.max_line_bytes, self.settings.command_timeout)
            verb, argument = split_command(line)
        except LineTooLong:
            self.refuse("500 5.5.2 Line is too long")
        except BareNewline:
            self.leave(replies.BARE_NEWLINE)
        except SyntaxProblem as problem:
            self.refuse(problem.reply)
        else:
            await self._run(verb, argument)
        self._enforce_limits()

    async def _run(self, verb: str, argument: str) -> None:
        rule = COMMANDS.get(verb)
        if rule is None or not self.has(verb):
            self.refuse("500 5.5.2 Command is not known")
        elif refused := self._refusal(rule, argument, verb):
            self.refuse(refused)
        else:
            try:
                await getattr(self, "smtp_" + verb)(argument)
            except SyntaxProblem as problem:
                self.refuse(problem.reply)
            except MailError as error:
                self.refuse(replies.from_error(error))

    def has(self, verb: str) -> bool:
        """Whether there is this command here."""
        if verb == "BURL":
            return self._auth_required and self.services.urls is not None
        return verb not in self.withheld and (verb != "AUTH" or self._auth_required)

    def _refusal(self, rule: Rule, argument: str, verb: str) -> str | None:
        if rule.authenticated and self._auth_required and self.session.identity is None:
            return replies.AUTH_FIRST
        return refusal(rule, self.state, argument, verb)

    def _enforce_limits(self) -> None:
        self._commands += 1
        limits = self.settings
        if self._errors > limits.max_errors or self._refused_recipients > limits.max_refused_recipients:
            self.leave(replies.TOO_MANY_ERRORS)
        elif self._commands > limits.max_idle_commands + limits.max_recipients:
            self.leave(replies.TOO_MANY_COMMANDS)

    def leave(self, goodbye: str) -> None:
        """End the connection after the running command, whatever the transaction's state."""
        raise Interrupted(goodbye)

    def accepted(self) -> None:
        """A message was accepted: what counts against the client starts anew."""
        self._errors = self._refused_recipients = self._commands = 0

    # state

    @property
    def state(self) -> State:
        if self.session.host_name is None:
            return State.CONNECTED
        if self.envelope.mail_from is None:
            return State.GREETED
        if self.envelope.chunks is not None:
            return State.CHUNKS
        return State.RCPT if self.envelope.recipients else State.MAIL

    def _in_transaction(self) -> bool:
        return self.envelope.mail_from is not None

    def _create_envelope(self) -> MailEnvelope:
        return MailEnvelope(self.services.budget)

    def _set_rset_state(self) -> None:
        self._leave_envelope()
        self.envelope = self._create_envelope()

    def _leave_envelope(self) -> None:
        self.envelope.release()

    def _forget_identity(self) -> None:
        if self.session.identity is not None:
            self.services.registry.remove(self, self.session.identity)

    # TLS

    async def secure(self) -> None:
        """The handshake, and afterwards a session that remembers nothing (RFC 3207 §4.2)."""
        services, settings = self.services, self.services.settings
        try:
            transport = await self.stream.start_tls(
                self, services.tls, settings.tls_handshake_timeout, settings.tls_shutdown_timeout
            )
        except (OSError, RuntimeError) as error:
            metrics.TLS_HANDSHAKES.labels(self.protocol, "failed").inc()
            self.abort()
            raise Disconnected from error
        metrics.TLS_HANDSHAKES.labels(self.protocol, "ok").inc()
        self.transport = transport
        self._set_rset_state()
        self._forget_identity()
        self.session = self._secured_session(self.session.client, transport)

    def _secured_session(self, peer: Peer, transport: asyncio.BaseTransport) -> MailSession:
        session = MailSession(self.loop, peer)
        session.ssl = transport.get_extra_info("ssl_object")
        cipher = transport.get_extra_info("cipher")
        session.tls = (cipher[1], cipher[0]) if cipher else ("TLS", "")
        return session
