"""Authorized URLs where they are to open something (RFC 4467 §6): what each names, and whether its token is of the key.

Invariant: what a URL does not open is one error, whatever the reason: no such user, mailbox or message, not for whom
it is, too late, a token of another key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailpod.auth import urlauth
from mailpod.auth.urlauth import Authorization, BadUrl
from mailpod.imap.catenate import section_at
from mailpod.imap.lexer import BadCommand
from mailpod.imap.url import BadSyntax, MessageUrl, parse

if TYPE_CHECKING:
    from mailpod.imap.sections import Section
    from mailpod.services import Services
    from mailpod.store import Account, Mailbox


class Closed(Exception):
    """The URL opens nothing, or is none that could be authorized."""


@dataclass(frozen=True, slots=True)
class Named:
    """`owner` is the address whose key is meant (RFC 4467 §7); None where the URL is of another server, or nobody's."""

    authorization: Authorization
    url: MessageUrl
    section: Section
    owner: str | None


def named(services: Services, url: bytes) -> Named:
    """Raises Closed."""
    try:
        authorization = urlauth.parse(url)
        message = parse(authorization.url)
        section = section_at(message)
    except (BadUrl, BadSyntax, BadCommand):
        raise Closed from None
    return Named(authorization, message, section, urlauth.canonical(_user(message, services.settings.hostname)))


def _user(message: MessageUrl, hostname: str) -> str:
    """Empty where there is none. A server that is the user's own domain is this one, as imaptest has it: what
    ann@example.org's URL is at example.org, nobody else's can be."""
    user, host = message.user or "", (message.host or "").lower()
    if host == hostname.lower():
        return user
    return f"{user}@{host}" if user and host and "@" not in user else ""


def opened(account: Account | None, wanted: Named) -> tuple[Account, Mailbox]:
    """The mailbox that the URL opens its message in; `account` is its owner's. Raises Closed."""
    mailbox = account.log.served.find(wanted.url.mailbox) if account is not None else None
    key = bytes.fromhex(mailbox.url_key) if mailbox is not None else b""
    if not urlauth.verified(wanted.authorization, key) or account is None or mailbox is None:
        raise Closed
    if wanted.url.uidvalidity not in (None, mailbox.uidvalidity) or mailbox.index(wanted.url.uid) < 0:
        raise Closed
    return account, mailbox
