"""What is advertised (RFC 3501 §6.1.1): only what works, and in the state that the client is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.auth.sasl import MECHANISMS
from mailpod.imap.states import State

if TYPE_CHECKING:
    from mailpod.imap.session import Session

_ALWAYS: Final = b"IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE"
_LOGGED_IN: Final = b" ".join(
    (
        b"IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE",
        b"CONDSTORE QRESYNC ESEARCH SEARCHRES PARTIAL WITHIN SAVEDATE OBJECTID STATUS=SIZE MULTIAPPEND UIDONLY",
        b"LIST-EXTENDED LIST-STATUS CREATE-SPECIAL-USE NOTIFY SEARCH=FUZZY I18NLEVEL=1",
        b"QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE",
        b"SORT SORT=DISPLAY ESORT CONTEXT=SEARCH CONTEXT=SORT MULTISEARCH",
        b"THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS",
        b"BINARY PREVIEW REPLACE",
        b"UTF8=ACCEPT CATENATE URL-PARTIAL UIDBATCHES INPROGRESS",
    )
)
_MECHANISMS: Final = " ".join(f"AUTH={name}" for name in MECHANISMS).encode()


def capabilities(session: Session) -> bytes:
    """The words after CAPABILITY."""
    # RFC 7889 §2: the same for all mailboxes
    words = [_ALWAYS, _LOGGED_IN, b"APPENDLIMIT=%d" % session.services.settings.imap.append_bytes]
    if session.services.settings.imap.save_limit is not None:
        words.append(b"SAVELIMIT=%d" % session.services.settings.imap.save_limit)
    if session.services.settings.imap.message_limit is not None:
        words.append(b"MESSAGELIMIT=%d" % session.services.settings.imap.message_limit)
    if session.state is State.NOT_AUTHENTICATED:
        if may_start_tls(session):
            words.append(b"STARTTLS")
        words.append(_MECHANISMS if may_send_password(session) else b"LOGINDISABLED")
        return b" ".join(words)
    if not session.compressed:
        words.append(b"COMPRESS=DEFLATE")  # RFC 4978 §3: not while it is active
    if session.annotates:
        words.append(b"METADATA LIST-METADATA")
    if session.shares:
        words.append(b"ACL RIGHTS=kxte LIST-MYRIGHTS")
    if session.authorizes:
        words.append(b"URLAUTH URLAUTH=BINARY")
    if session.services.settings.imap.unauthenticate:
        words.append(b"UNAUTHENTICATE")
    return b" ".join(words)


def may_start_tls(session: Session) -> bool:
    return not session.secure and session.services.tls.available


def may_send_password(session: Session) -> bool:
    """DESIGN.md, "No surprise in the clear": TLS, or the same address as ours."""
    return session.secure or session.peer.local
