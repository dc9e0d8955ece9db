"""Replies as wire text: a code, an enhanced status (RFC 3463) and printable ASCII."""

from __future__ import annotations

import re
from typing import Final

from mailpod.errors import AuthFailed, AuthRefused, MailError

GREET_FIRST: Final = "503 5.5.1 Send EHLO first"
AUTH_FIRST: Final = "530 5.7.0 Authentication required"  # RFC 4954 §6
DRAINING: Final = "421 4.3.2 Server is stopping, connect again"
REVOKED: Final = "421 4.7.0 The account changed, log in again"
TIMED_OUT: Final = "421 4.4.2 Timed out, closing"
TOO_MANY_ERRORS: Final = "421 4.7.0 Too many errors, closing"
TOO_MANY_COMMANDS: Final = "421 4.7.0 Too many commands without a message, closing"
CRASHED: Final = "421 4.3.0 Internal error, try again later"
NO_RECIPIENTS: Final = "554 5.5.1 No valid recipients"  # RFC 5321 §3.3, RFC 2920 §3.1
BARE_NEWLINE: Final = "521 5.5.2 A line ends with CRLF and has no other CR or LF, closing"
# RFC 5321 §2.3.8 forbids bare CR and LF. The message is refused after its real end and the connection stays: what
# follows was sent as commands by the client itself, so nothing can be smuggled. Postfix closes with 521 instead.
BARE_NEWLINE_IN_DATA: Final = "550 5.6.11 The message has a CR or LF that is not part of a CRLF"

_UNPRINTABLE: Final = re.compile(r"[^ -~]")


def encode(reply: str) -> bytes:
    """One reply line; whatever is not printable ASCII becomes `?`, so that no client's text can forge a line."""
    if not (reply.isascii() and reply.isprintable()):
        reply = _UNPRINTABLE.sub("?", reply)
    return reply.encode("ascii") + b"\r\n"


def from_error(error: MailError) -> str:
    """The reply that a MailError stands for; the one place where errors become SMTP."""
    code, status = error.smtp
    return f"{code} {status} {error.text}"


def from_login_error(error: MailError) -> str:
    """As `from_error`, for AUTH: what passes by itself is 454 4.7.0 (RFC 4954 §6)."""
    if isinstance(error, AuthFailed | AuthRefused):
        return from_error(error)
    return f"454 4.7.0 {error.text}"
