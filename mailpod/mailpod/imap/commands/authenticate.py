"""AUTHENTICATE (RFC 3501 §6.2.2) with an initial response (RFC 4959)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from mailpod.auth import sasl
from mailpod.errors import MailError
from mailpod.imap.commands.login import log_in, require_privacy
from mailpod.imap.grammar import decode_base64
from mailpod.imap.lexer import BadCommand

if TYPE_CHECKING:
    from mailpod.imap.reply import Done
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import AuthenticateArgs

_CANCEL: Final = b"*"


class UnknownMechanism(MailError):
    """RFC 3501 §6.2.2: an unsupported mechanism is a NO."""

    imap = ("NO", "CANNOT")
    text = "Authentication mechanism is not supported"


class NotForOthers(MailError):
    """RFC 5530 §3: nobody may act for another user here."""

    imap = ("NO", "AUTHORIZATIONFAILED")
    text = "The authorization identity must be empty or the user's own"


async def run(session: Session, args: AuthenticateArgs) -> Done:
    require_privacy(session)
    if args.mechanism not in sasl.MECHANISMS:
        raise UnknownMechanism
    exchange = sasl.begin(args.mechanism)
    try:
        step = exchange.start(args.initial)
        while isinstance(step, sasl.Challenge):
            step = exchange.next(await _ask(session, step.data))
    except sasl.OtherUser:
        raise NotForOthers from None
    except sasl.SaslError as error:
        raise BadCommand(f"Authentication exchange: {error}") from None
    return await log_in(session, step.username, step.password)


async def _ask(session: Session, challenge: bytes) -> bytes:
    session.send(b"+ %b\r\n" % base64.b64encode(challenge))
    line = await session.read_line()
    if line == _CANCEL:
        raise BadCommand("Authentication cancelled")  # RFC 3501 §6.2.2: a BAD
    return decode_base64(line)
