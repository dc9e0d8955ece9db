"""GENURLAUTH and RESETKEY (RFC 4467 §7).

- A user authorizes URLs of the mailboxes in their own account: another's are not theirs to show around.
- All that is authorized by one command, or nothing. No pod writes a key that another of the domain could not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.auth import urlauth
from mailpod.errors import CannotDo, NoPermission, NoSuchMailbox, Unavailable
from mailpod.imap import wire
from mailpod.imap.authorized import Closed, Named, named
from mailpod.imap.lexer import BadCommand
from mailpod.imap.places import is_own, opened
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.auth.urlauth import Authorization
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_urlauth import GenUrlAuthArgs, ResetKeyArgs

_OPERATION: Final = "urlkey"  # store/ops.py


async def run_authorize(session: Session, args: GenUrlAuthArgs) -> None:
    """Raises BadCommand for what cannot be authorized, whatever is wrong with it; Unavailable."""
    wanted = [_checked(session, url, mechanism) for url, mechanism in args.urls]
    await _check_readers(session)
    await session.account.refresh()
    try:
        keys = await session.account.url_keys.of([each.url.mailbox for each in wanted])
    except NoSuchMailbox:
        raise _no_such_url() from None
    out = [
        urlauth.authorized(url, key if await _is_known(session, url) else urlauth.new_key())
        for url, key in zip((each.authorization for each in wanted), keys, strict=True)
    ]
    session.send(b"* GENURLAUTH %b\r\n" % b" ".join(map(wire.string, out)))


def _checked(session: Session, url: bytes, mechanism: str) -> Named:
    if mechanism != urlauth.MECHANISM:
        raise BadCommand(f"Unknown mechanism {mechanism}: there is {urlauth.MECHANISM}")
    try:
        wanted = named(session.services, url)
    except Closed:
        raise _no_such_url() from None
    own = wanted.owner == session.identity.address and is_own(session, wanted.url.mailbox)
    if wanted.authorization.mechanism or not own:
        raise _no_such_url()
    return wanted


async def _is_known(session: Session, url: Authorization) -> bool:
    """RFC 4467 §7: that there is no such user is not told; the URL is one that never opens."""
    if url.access not in ("submit", "user"):
        return True
    address = urlauth.canonical(url.user)
    return address is not None and await session.services.directory.lookup(address) is not None


def _no_such_url() -> BadCommand:
    return BadCommand("Not the URL of a message in a mailbox of yours that ends with ;URLAUTH= and for whom it is")


async def run_reset(session: Session, args: ResetKeyArgs) -> Done | None:
    """Raises NoSuchMailbox, NoPermission, CannotDo, Unavailable."""
    if unknown := [mechanism for mechanism in args.mechanisms if mechanism != urlauth.MECHANISM]:
        raise CannotDo(f"Unknown mechanism {unknown[0]}: there is {urlauth.MECHANISM}")
    await _check_readers(session)
    if args.mailbox is None:
        await session.account.url_keys.forget()
        return None
    async with opened(session, args.mailbox) as place:
        if not place.own:
            place.mailbox("l")
            raise NoPermission
        await session.account.url_keys.reset(place.name)
    return Done(b"URLMECH INTERNAL")


async def _check_readers(session: Session) -> None:
    """DECISIONS, "Format"."""
    domain = await session.services.directory.domain(session.identity.entry.domain)
    if domain is None or _OPERATION not in domain.reads:
        raise Unavailable("URLs can be authorized when all servers are updated, try again later")
