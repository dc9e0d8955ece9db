"""The SMTP commands, of the MX port and of submission. What a message may do is handler.py's; bytes are data.py's."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final, Literal

from mailpod.auth import sasl
from mailpod.errors import Busy, MailError, PrivacyRequired, TooBig
from mailpod.smtp import data, dsn, replies
from mailpod.smtp.bdat import DROP_FACTOR
from mailpod.smtp.burl import ByUrl
from mailpod.smtp.data import DataReader
from mailpod.smtp.handler import Handler
from mailpod.smtp.session import COMMANDS
from mailpod.smtp.stream import BareNewline, LineTooLong
from mailpod.smtp.syntax import mail_parameters, parse_path, rcpt_parameters
from mailpod.store.outbound import RecipientOptions

if TYPE_CHECKING:
    from mailpod.services import Services

_FIRST_HOLD: Final = 64 * 1024  # octets taken from the budget for a message of unknown size


def make_smtp(services: Services, *, role: Literal["mx", "submission"], implicit_tls: bool) -> MailSmtp:
    """The protocol of one new connection. With `implicit_tls` the listener does TLS before `connection_made`."""
    return MailSmtp(services, Handler(services, role), role=role, implicit_tls=implicit_tls)


class MailSmtp(ByUrl):
    """RFC 5321, with the extensions that EHLO names."""

    async def smtp_EHLO(self, hostname: str) -> None:
        self._greet(hostname, extended=True)
        lines = [self.hostname, "PIPELINING", f"SIZE {self.settings.max_message_bytes}", "8BITMIME", "SMTPUTF8"]
        lines += ["ENHANCEDSTATUSCODES", "CHUNKING"]
        if not self._auth_required:  # what a user sends may go to a server that takes no binary
            lines.append("BINARYMIME")
        if self.session.tls is None and self.services.tls.available:
            lines.append("STARTTLS")
        if self.session.tls is not None:  # RFC 8689 §2: never in the clear
            lines.append("REQUIRETLS")
        if self._auth_required:  # another server's sender may be forged, and is told nothing: so it tells them itself
            lines.append("DSN")
        if self._auth_required and self._may_authenticate():
            lines.append("AUTH " + " ".join(sasl.MECHANISMS))
        if self.has("BURL") and (self.session.identity is not None or self._may_authenticate()):
            lines.append("BURL imap")  # RFC 4468 §3.3
        lines.append("HELP")
        for line in lines[:-1]:
            self.reply("250-" + line)
        self.reply("250 " + lines[-1])

    async def smtp_LHLO(self, hostname: str) -> None:
        await self.smtp_EHLO(hostname)  # RFC 2033 §4.1: the same semantics; only Lmtp has it

    async def smtp_HELO(self, hostname: str) -> None:
        self._greet(hostname, extended=False)
        self.reply(f"250 {self.hostname}")

    async def smtp_STARTTLS(self, arg: str) -> None:
        if self.session.tls is not None:
            return self.refuse("503 5.5.1 TLS is already active")
        if not self.services.tls.available:
            return self.refuse("454 4.7.0 TLS is not available")  # RFC 3207 §4
        self.reply("220 2.0.0 Ready to start TLS")
        await self.secure()
        return None

    async def smtp_AUTH(self, arg: str) -> None:
        """RFC 4954 §4."""
        if self.session.identity is not None:
            return self.refuse("503 5.5.1 Already authenticated")
        if not self._may_authenticate():
            raise PrivacyRequired
        mechanism, _, initial = arg.partition(" ")
        if mechanism.upper() not in sasl.MECHANISMS:
            return self.refuse("504 5.5.4 Mechanism is not offered")
        try:
            credentials = await self._exchange(sasl.begin(mechanism), initial or None)
        except (sasl.SaslError, binascii.Error, ValueError):
            return self.refuse("501 5.5.2 Bad response")
        except LineTooLong:
            return self.refuse("500 5.5.6 Line is too long")
        if credentials is None:
            return self.refuse("501 5.7.0 Authentication was given up")
        return await self._log_in(credentials)

    async def smtp_MAIL(self, arg: str) -> None:
        path = parse_path(arg, "FROM:")
        if self._auth_required:
            self.envelope.reporting = dsn.take_reporting(path.parameters)
        submits, tls = self._auth_required, self.session.tls is not None
        parameters = mail_parameters(path.parameters, auth=submits, binary=not submits, tls=tls)
        if parameters.size is not None and parameters.size > self.settings.max_message_bytes:
            raise TooBig  # RFC 1870 §6.1 (1)
        self.envelope.smtp_utf8 = parameters.smtputf8
        self.envelope.declared_size = parameters.size
        self.envelope.binary = parameters.binary
        self.envelope.require_tls = parameters.require_tls
        self.reply(await self._call_handler_hook("MAIL", path.address, []))

    async def smtp_RCPT(self, arg: str) -> None:
        path = parse_path(arg, "TO:")
        options = dsn.take_options(path.parameters) if self._auth_required else RecipientOptions()
        rcpt_parameters(path.parameters)
        try:
            status = await self._call_handler_hook("RCPT", path.address, [options])
        except MailError as error:
            status = replies.from_error(error)
        if status.startswith("2"):
            self.reply(status)
        else:
            self.refuse_recipient(status)

    async def smtp_DATA(self, arg: str) -> None:
        if not self.envelope.recipients:
            return self.refuse(self.no_recipients)
        if self.envelope.binary:
            return self.refuse("503 5.5.1 BODY=BINARYMIME needs BDAT")  # RFC 3030 §3
        if not self.envelope.hold(min(self.envelope.declared_size or _FIRST_HOLD, self.settings.max_message_bytes)):
            raise Busy
        self.reply("354 End data with <CR><LF>.<CR><LF>")
        refused = await self._read_data()
        await self.conclude(refused)
        return None

    async def smtp_RSET(self, arg: str) -> None:
        self._set_rset_state()
        self.reply("250 2.0.0 OK")

    async def smtp_NOOP(self, arg: str) -> None:
        self.reply("250 2.0.0 OK")

    async def smtp_HELP(self, arg: str) -> None:
        self.reply("214 2.0.0 " + " ".join(filter(self.has, COMMANDS)))

    async def smtp_VRFY(self, arg: str) -> None:
        self.reply("252 2.1.5 Send a message to find out")  # RFC 5321 §3.5.3

    async def smtp_EXPN(self, arg: str) -> None:
        self.refuse("502 5.5.1 EXPN is not offered")

    async def smtp_QUIT(self, arg: str) -> None:
        self.leave("221 2.0.0 Bye")

    def _greet(self, hostname: str, *, extended: bool) -> None:
        self._set_rset_state()  # RFC 5321 §4.1.4: EHLO is also a RSET
        self.session.host_name = hostname
        self.session.extended_smtp = extended

    def _may_authenticate(self) -> bool:
        return self.session.tls is not None or self.session.client.local

    async def _exchange(self, exchange: sasl.Exchange, initial: str | None) -> sasl.Credentials | None:
        """Challenges and responses; None when the client gives up with `*`."""
        step = exchange.start(None if initial is None else _decoded(initial))
        while isinstance(step, sasl.Challenge):
            self.reply("334 " + b64encode(step.data).decode("ascii"))
            try:
                line = await self.stream.line(self.settings.max_auth_line_bytes, self.settings.command_timeout)
            except BareNewline:
                self.leave(replies.BARE_NEWLINE)
            if line == b"*":
                return None
            step = exchange.next(_decoded(line.decode("ascii", "replace")))
        return step

    async def _log_in(self, credentials: sasl.Credentials) -> None:
        try:
            identity = await self.services.auth.login(
                credentials.username, credentials.password, peer=self.session.client, protocol="smtp"
            )
        except MailError as error:
            self.refuse(replies.from_login_error(error))
            self.session.failed_logins += 1
            if self.session.failed_logins >= self.services.settings.login_failures:
                self.leave(replies.TOO_MANY_ERRORS)
            return
        self.session.identity = identity
        self.session.authenticated = True
        self.services.registry.add(self, identity, self.protocol)
        if self.stream.closed:
            self.services.registry.remove(self, identity)
        self.reply("235 2.7.0 Authentication successful")

    async def _read_data(self) -> str | None:
        """Read the message into the envelope. A reply says why it is refused; it was read to its end all the same."""
        stream, settings, reader = self.stream, self.settings, DataReader(self.stream.buffer)
        # Stuffed dots do not count (RFC 1870 §3), and are at most one octet in four.
        most = settings.max_message_bytes * 4 // 3 + 8
        began, refused = stream.now, None
        while not reader.complete():
            if refused is None and (refused := self._over(reader.received, most)):
                reader.drop()
            if reader.received > most * DROP_FACTOR:
                self.leave(refused or replies.from_error(TooBig()))
            await stream.more(began + settings.data_timeout + reader.received / settings.min_data_rate)
        refused = refused or self._over(reader.size, most)
        content = reader.take()
        if refused is None:
            return self.keep(data.unstuff(content))
        return refused

    def _over(self, octets: int, most: int) -> str | None:
        if octets > most:
            return replies.from_error(TooBig())
        if octets > self.envelope.held and not self.envelope.hold(min(octets * 2, most)):
            return replies.from_error(Busy())
        return None


def _decoded(text: str) -> bytes:
    """Base64 of a response; `=` alone is an empty one (RFC 4954 §4). Raises binascii.Error."""
    return b"" if text == "=" else b64decode(text, validate=True)
