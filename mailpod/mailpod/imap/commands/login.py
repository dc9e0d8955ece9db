"""LOGIN (RFC 3501 §6.2.3), and what it shares with AUTHENTICATE.

Invariant: no name and no password is looked at where a password may not be sent.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from mailpod.errors import AccountClosed, AccountMissing, AuthFailed, LimitReached, PrivacyRequired
from mailpod.imap.capability import capabilities, may_send_password
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.auth.identity import Identity
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import LoginArgs
    from mailpod.store import Account, AccountRef


async def run(session: Session, args: LoginArgs) -> Done:
    require_privacy(session)
    # as auth/sasl.py has it, so that a password is the same whichever way it comes
    return await log_in(session, args.username, unicodedata.normalize("NFC", args.password))


def require_privacy(session: Session) -> None:
    """Raises PrivacyRequired."""
    if not may_send_password(session):
        raise PrivacyRequired


async def log_in(session: Session, username: str, password: str) -> Done:
    """Raises AuthFailed, AuthRefused, LimitReached, Unavailable, Busy."""
    services = session.services
    try:
        identity = await services.auth.login(username, password, peer=session.peer, protocol=session.protocol)
    except AuthFailed as error:
        session.login_failed()
        raise error
    if services.registry.count(identity.address) >= services.settings.imap.sessions_per_account:
        raise LimitReached("Too many sessions of this account")
    domain = await services.directory.domain(identity.entry.domain)
    account = await _open(session, identity)
    if session.closing:
        account.release()
        raise ConnectionResetError("connection lost")
    session.log_in(identity, account, domain.reads if domain is not None else ())
    # RFC 3501 §6.2.3: capabilities in the OK save the client a round trip
    return Done(b"CAPABILITY %b" % capabilities(session), b"Logged in")


async def _open(session: Session, identity: Identity) -> Account:
    try:
        return await _open_fresh(session, identity.ref)
    except (AccountClosed, AccountMissing):
        # STORE.md rule 15: the incarnation may be a new one, past the directory's cache
        return await _open_fresh(session, await session.services.directory.account(identity.entry, fresh=True))


async def _open_fresh(session: Session, ref: AccountRef) -> Account:
    """DESIGN.md, "Freshness": a log-in sees everything that was acknowledged before it, at whichever pod."""
    account = await session.services.store.open(ref)
    try:
        await account.refresh()
    except BaseException:
        account.release()
        raise
    return account
