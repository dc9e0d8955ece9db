"""What POP3's commands do. The connection, and the order of commands, are server.py's.

- Nothing changes in the mailbox before QUIT, and then in one commit: a connection that breaks deletes nothing.
- RETR does not set \\Seen, as Dovecot's default: POP3 has no flags, and a client that leaves mail on the server would
  hide new mail from the IMAP clients beside it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from mailpod import logs
from mailpod.auth import sasl
from mailpod.errors import AccountClosed, AccountMissing, AuthFailed, Expunged, MailError, PrivacyRequired
from mailpod.net.wire import Wire
from mailpod.pop3 import reply
from mailpod.pop3.maildrop import Maildrop
from mailpod.pop3.reader import Reader
from mailpod.pop3.syntax import Command, Refused, State

if TYPE_CHECKING:
    from mailpod.auth.identity import Identity
    from mailpod.services import Services
    from mailpod.store import Account

_TOP_GUESS = 32 * 1024  # octets of the body that TOP reads at first
_QUEUE = 64 * 1024  # octets of answers that leave together
Chunk = bytes | bytearray | memoryview


class Session(Wire):
    """State of one connection, and a method a command."""

    __slots__ = (
        "_account",
        "_drop",
        "_exchange",
        "_failures",
        "_identity",
        "_leaving",
        "_out",
        "_queued",
        "_reader",
        "_user",
    )

    protocol: ClassVar[str] = "pop3"
    refusal: ClassVar[bytes] = b"-ERR [SYS/TEMP] Too many connections, try again later\r\n"

    def __init__(self, services: Services, *, implicit_tls: bool = False) -> None:
        super().__init__(services, implicit_tls=implicit_tls)
        self._user = b""
        self._exchange: sasl.Exchange | None = None
        self._identity: Identity | None = None
        self._account: Account | None = None
        self._drop: Maildrop | None = None
        self._reader: Reader | None = None
        self._failures = 0
        self._leaving = False
        self._out: list[Chunk] = []
        self._queued = 0

    @property
    def state(self) -> State:
        return State.AUTHORIZATION if self._drop is None else State.TRANSACTION

    @property
    def maildrop(self) -> Maildrop:
        """Of a session in the transaction state."""
        assert self._drop is not None
        return self._drop

    @property
    def reader(self) -> Reader:
        assert self._reader is not None
        return self._reader

    def write(self, data: bytes | Iterable[Chunk]) -> None:
        """Queue an answer; it leaves at the next `flush`, or when enough is queued."""
        pieces = (data,) if isinstance(data, bytes) else tuple(data)
        self._out += pieces
        self._queued += sum(map(len, pieces))
        if self._queued > _QUEUE:
            self.flush()

    def flush(self) -> None:
        """Give what is queued to the transport: small answers as one piece, large ones uncopied."""
        out, queued = self._out, self._queued
        if out:
            self._out, self._queued = [], 0
            super().write(b"".join(out) if queued <= _QUEUE else out)

    async def drained(self) -> None:
        self.flush()
        await super().drained()

    def close(self) -> None:
        self.flush()
        super().close()

    def leave(self) -> None:
        """Close after the running command's answer."""
        self._leaving = True

    # Before log-in

    def do_CAPA(self, _: Command) -> None:
        """RFC 2449 §5: what is available before log-in is announced in both states."""
        lines = [b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING", b"EXPIRE NEVER"]
        if self._private():
            lines += [b"USER", b"SASL " + " ".join(sasl.MECHANISMS).encode()]
        if not self.secure and self.services.tls.available:
            lines.append(b"STLS")
        lines.append(b"IMPLEMENTATION Mailpod")
        self.write(reply.ok(b"Capabilities follow") + b"\r\n".join(lines) + b"\r\n" + reply.END)

    def do_USER(self, command: Command) -> None:
        self._require_privacy()
        self._user = command.text
        self.write(reply.ok())  # the same for a user that does not exist

    async def do_PASS(self, command: Command) -> None:
        self._require_privacy()
        self.flush()
        user, self._user = self._user, b""
        if not user:
            raise Refused("USER first")
        try:
            await self._log_in(user.decode(), command.text.decode())
        except UnicodeDecodeError:
            raise Refused("Not UTF-8") from None

    async def do_AUTH(self, command: Command) -> None:
        """RFC 5034 §4."""
        if not command.words:
            self.write(reply.ok() + b"".join(b"%b\r\n" % name.encode() for name in sasl.MECHANISMS) + reply.END)
            return
        self._require_privacy()
        try:
            self._exchange = sasl.begin(command.words[0].decode("ascii", "replace"))
            initial = None if len(command.words) == 1 else _decoded(b"".join(command.words[1:]).removeprefix(b"="))
            await self._continue(self._exchange.start(initial))
        except sasl.SaslError as error:
            self._exchange = None
            raise Refused(f"AUTH: {error}") from None

    async def answer_challenge(self, line: bytes) -> None:
        """The client's line in a SASL exchange."""
        exchange = self._exchange
        assert exchange is not None
        try:
            if line == b"*":
                raise Refused("Authentication was cancelled")
            await self._continue(exchange.next(_decoded(line)))
        except (sasl.SaslError, MailError) as error:
            self._exchange = None
            raise error if isinstance(error, MailError) else Refused(f"AUTH: {error}") from None

    async def do_STLS(self, _: Command) -> None:
        """RFC 2595 §4: what was learnt in the clear is forgotten."""
        if self.secure:
            raise Refused("TLS is already active")
        if not self.services.tls.available:
            raise Refused("TLS is not available")
        self.write(reply.ok(b"Begin TLS"))
        self.flush()
        self._user = b""
        await self.start_tls()

    # After log-in

    def do_STAT(self, _: Command) -> None:
        self.write(b"+OK %d %d\r\n" % self.maildrop.stat())

    def do_LIST(self, command: Command) -> None:
        drop = self.maildrop
        if command.numbers:
            position = drop.position(command.numbers[0])
            self.write(b"+OK %d %d\r\n" % (position + 1, drop.size(position)))
        else:
            self.write([b"+OK %d messages (%d octets)\r\n" % drop.stat(), drop.sizes_listing()])

    def do_UIDL(self, command: Command) -> None:
        drop = self.maildrop
        if command.numbers:
            position = drop.position(command.numbers[0])
            self.write(b"+OK %d %b\r\n" % (position + 1, drop.unique_id(position)))
        else:
            self.write([reply.ok(), drop.ids_listing()])

    async def do_RETR(self, command: Command) -> None:
        position, reader = self.maildrop.position(command.numbers[0]), self.reader
        if not reader.has(position):
            self.flush()
        data = await reader.read(position)
        self.write([b"+OK %d octets\r\n" % len(data), *reply.message(data)])
        if self._write_paused:
            await self.drained()
        reader.sent()

    async def do_TOP(self, command: Command) -> None:
        position, lines = self.maildrop.position(command.numbers[0]), command.numbers[1]
        self.flush()
        data = await self._beginning(self.maildrop.uid(position), lines)
        self.write([reply.ok(b"Top of message follows"), *reply.message(data)])
        await self.drained()

    def do_DELE(self, command: Command) -> None:
        drop = self.maildrop
        drop.deleted.add(drop.position(command.numbers[0]))
        self.write(reply.ok(b"Marked as deleted"))

    def do_RSET(self, _: Command) -> None:
        self.maildrop.deleted.clear()
        self.write(b"+OK %d messages (%d octets)\r\n" % self.maildrop.stat())

    def do_NOOP(self, _: Command) -> None:
        self.write(reply.ok())

    async def do_QUIT(self, _: Command) -> None:
        """RFC 1939 §6: the UPDATE state. Whatever happens the connection ends."""
        self.leave()
        self.flush()
        if self._drop is not None and self._account is not None:
            marked = self._drop.marked_uids()
            if marked:
                await self._account.expunge(self._drop.mailbox, marked)  # what is gone already counts as done
            logs.event("pop3.quit", user=self._identity and self._identity.address, deleted=len(marked))
        self.write(reply.ok(b"Bye"))

    def forget(self) -> None:
        """Give back what log-in took, when connection and command are gone."""
        if self._reader is not None:
            self._reader.drop()
        identity, account = self._identity, self._account
        self._identity = self._account = self._drop = self._reader = None
        if identity is not None:
            self.services.registry.remove(self, identity)
        if account is not None:
            account.release()

    # Inside

    def _private(self) -> bool:
        return self.secure or self.peer.local

    def _require_privacy(self) -> None:
        if not self._private():
            raise PrivacyRequired

    async def _continue(self, step: sasl.Challenge | sasl.Credentials) -> None:
        if isinstance(step, sasl.Challenge):
            self.write(b"+ %b\r\n" % base64.b64encode(step.data))
            return
        self._exchange = None
        await self._log_in(step.username, step.password)

    async def _log_in(self, username: str, password: str) -> None:
        try:
            identity = await self.services.auth.login(username, password, peer=self.peer, protocol=self.protocol)
        except AuthFailed:
            self._failures += 1
            if self._failures >= self.services.settings.login_failures:
                self.leave()
            raise
        account = await self._open(identity)
        if self.closing:
            account.release()
            raise ConnectionResetError("connection lost")
        self._identity, self._account = identity, account
        self._drop = Maildrop(account.mailbox("INBOX"))
        settings = self.services.settings.pop3
        self._reader = Reader(account, self._drop, self.services.budget, settings.read_ahead)
        self.idle_timeout = settings.idle_timeout
        self.services.registry.add(self, identity, self.protocol)
        self.write(b"+OK %d messages (%d octets)\r\n" % self._drop.stat())

    async def _open(self, identity: Identity) -> Account:
        """The account as it is now, held. One that was closed is looked up again (STORE.md rule 15)."""
        try:
            return await self._open_ref(identity, fresh=False)
        except (AccountClosed, AccountMissing):
            return await self._open_ref(identity, fresh=True)

    async def _open_ref(self, identity: Identity, *, fresh: bool) -> Account:
        services = self.services
        ref = await services.directory.account(identity.entry, fresh=True) if fresh else identity.ref
        account = await services.store.open(ref)
        try:
            await account.refresh()
        except BaseException:
            account.release()
            raise
        return account

    async def _beginning(self, uid: int, lines: int) -> bytes:
        assert self._account is not None
        async for page, rows in self.maildrop.mailbox.pages([uid]):
            row = rows[0]
            at, header = page.location(row), page.header_sizes[row]
            data = await self._account.body(at, 0, header + _TOP_GUESS)
            found = reply.top(data, header, lines)
            if len(found) == len(data) < at.length:
                data = await self._account.body(at)
                found = reply.top(data, header, lines)
            return found
        raise Expunged


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise sasl.SaslError("not base64") from None
