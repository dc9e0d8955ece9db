"""RFC 3501 §9, command by command: the arguments after `tag SP name`.

Invariant: one table says which commands exist; a function consumes all of a command's arguments and nothing more.
FETCH, SEARCH, and SORT with THREAD have files of their own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final, Literal

from mailpod.imap.grammar_acl import about_somebody, set_acl
from mailpod.imap.grammar_append import append, replace
from mailpod.imap.grammar_fetch import fetch
from mailpod.imap.grammar_filters import esearch
from mailpod.imap.grammar_flags import flag_list, flags
from mailpod.imap.grammar_list import create, list_, lsub
from mailpod.imap.grammar_metadata import get_metadata, set_metadata
from mailpod.imap.grammar_notify import notify
from mailpod.imap.grammar_search import cancel_update, search
from mailpod.imap.grammar_select import select
from mailpod.imap.grammar_sort import sort, thread
from mailpod.imap.grammar_status import get_quota, get_quota_root, set_quota, status
from mailpod.imap.grammar_urlauth import gen_url_auth, reset_key, url_fetch
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.names import DELIMITER
from mailpod.imap.syntax import (
    AuthenticateArgs,
    CompressArgs,
    CopyArgs,
    EnableArgs,
    ExpungeArgs,
    IdArgs,
    LoginArgs,
    MailboxArgs,
    NoArgs,
    RenameArgs,
    StoreArgs,
    UidBatchesArgs,
)

_STORE_ITEM: Final = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)
_STORE_MODES: Final[dict[bytes, Literal["add", "remove", "set"]]] = {b"+": "add", b"-": "remove", b"": "set"}
_MAX_ID_FIELDS: Final = 30  # RFC 2971 §3.3


def _none(_cursor: Cursor) -> NoArgs:
    return NoArgs()


def _login(cursor: Cursor) -> LoginArgs:
    cursor.space()
    username = cursor.text()
    cursor.space()
    return LoginArgs(username, cursor.text())


def _authenticate(cursor: Cursor) -> AuthenticateArgs:
    cursor.space()
    mechanism = cursor.word()
    if not cursor.take(b" "):
        return AuthenticateArgs(mechanism, None)
    if cursor.take(b"="):  # RFC 4959 §3: "=" is a response of no octets
        return AuthenticateArgs(mechanism, b"")
    return AuthenticateArgs(mechanism, decode_base64(cursor.atom()))


def decode_base64(line: bytes) -> bytes:
    """One SASL response line. Raises BadCommand."""
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        raise BadCommand("Invalid base64") from None


def _compress(cursor: Cursor) -> CompressArgs:
    cursor.space()
    return CompressArgs(cursor.word())


def _enable(cursor: Cursor) -> EnableArgs:
    names = []
    while cursor.take(b" "):
        names.append(cursor.word())
    if not names:
        raise cursor.error("expected a capability")  # RFC 5161 §3.1
    return EnableArgs(tuple(names))


def _id(cursor: Cursor) -> IdArgs:
    cursor.space()
    if not cursor.take(b"("):
        if cursor.nstring() is not None:
            raise cursor.error("expected NIL or a list")
        return IdArgs(None)
    fields: list[tuple[bytes, bytes | None]] = []
    while not cursor.take(b")"):
        if fields:
            cursor.space()
        name = cursor.string()
        cursor.space()
        fields.append((name, cursor.nstring()))
        if len(fields) > _MAX_ID_FIELDS:
            raise BadCommand(f"More than {_MAX_ID_FIELDS} ID fields")
    return IdArgs(tuple(fields))


def _mailbox(cursor: Cursor) -> MailboxArgs:
    cursor.space()
    return MailboxArgs(cursor.mailbox())


def _rename(cursor: Cursor) -> RenameArgs:
    cursor.space()
    old = cursor.mailbox()
    cursor.space()
    return RenameArgs(old, cursor.mailbox().removesuffix(DELIMITER))


def _store(cursor: Cursor, uid: bool = False) -> StoreArgs:
    cursor.space()
    numbers = cursor.sequence_set()
    cursor.space()
    unchanged_since = _unchanged_since(cursor) if cursor.peek() == b"(" else None
    item = cursor.match(_STORE_ITEM)
    if item is None:
        raise cursor.error("expected FLAGS, +FLAGS or -FLAGS")
    cursor.space()
    chosen = flag_list(cursor) if cursor.peek() == b"(" else flags(cursor)
    if "\\Recent" in chosen:
        raise BadCommand("\\Recent cannot be altered")  # RFC 3501 §2.3.2
    return StoreArgs(numbers, _STORE_MODES[item[1]], item[2] is not None, chosen, uid, unchanged_since)


def _unchanged_since(cursor: Cursor) -> int:
    """`(UNCHANGEDSINCE n) `: RFC 7162 §3.1.3."""
    cursor.need(b"(")
    if cursor.word() != "UNCHANGEDSINCE":
        raise cursor.error("expected UNCHANGEDSINCE before here")
    cursor.space()
    modseq = cursor.large_number()
    cursor.need(b")")
    cursor.space()
    return modseq


def _copy(cursor: Cursor, uid: bool = False) -> CopyArgs:
    cursor.space()
    numbers = cursor.sequence_set()
    cursor.space()
    return CopyArgs(numbers, cursor.mailbox(), uid)


def _uid_batches(cursor: Cursor) -> UidBatchesArgs:
    cursor.space()
    size = _nz_number(cursor)
    if not cursor.take(b" "):
        return UidBatchesArgs(size, None)
    first = _nz_number(cursor)
    cursor.need(b":")
    return UidBatchesArgs(size, (first, _nz_number(cursor)))


def _nz_number(cursor: Cursor) -> int:
    value = cursor.number()
    if not value:
        raise cursor.error("expected a number above zero before here")
    return value


def _expunge(_cursor: Cursor) -> ExpungeArgs:
    return ExpungeArgs(None)


def _uid_expunge(cursor: Cursor) -> ExpungeArgs:
    cursor.space()
    return ExpungeArgs(cursor.sequence_set())


GRAMMAR: Final[dict[str, Callable[[Cursor], object]]] = {
    "CAPABILITY": _none,
    "NOOP": _none,
    "LOGOUT": _none,
    "ID": _id,
    "STARTTLS": _none,
    "AUTHENTICATE": _authenticate,
    "LOGIN": _login,
    "ENABLE": _enable,
    "NAMESPACE": _none,
    "SELECT": select,
    "EXAMINE": select,
    "CREATE": create,
    "DELETE": _mailbox,
    "RENAME": _rename,
    "SUBSCRIBE": _mailbox,
    "UNSUBSCRIBE": _mailbox,
    "LIST": list_,
    "LSUB": lsub,
    "STATUS": status,
    "GETQUOTA": get_quota,
    "GETQUOTAROOT": get_quota_root,
    "SETQUOTA": set_quota,
    "GETMETADATA": get_metadata,
    "SETMETADATA": set_metadata,
    "NOTIFY": notify,
    "GETACL": _mailbox,
    "SETACL": set_acl,
    "DELETEACL": about_somebody,
    "LISTRIGHTS": about_somebody,
    "MYRIGHTS": _mailbox,
    "GENURLAUTH": gen_url_auth,
    "RESETKEY": reset_key,
    "URLFETCH": url_fetch,
    "APPEND": append,
    "REPLACE": replace,
    "UID REPLACE": lambda cursor: replace(cursor, uid=True),
    "IDLE": _none,
    "COMPRESS": _compress,
    "UNAUTHENTICATE": _none,
    "CHECK": _none,
    "CLOSE": _none,
    "UNSELECT": _none,
    "EXPUNGE": _expunge,
    "UID EXPUNGE": _uid_expunge,
    "UIDBATCHES": _uid_batches,
    "SEARCH": search,
    "UID SEARCH": lambda cursor: search(cursor, uid=True),
    "CANCELUPDATE": cancel_update,
    "ESEARCH": esearch,
    "SORT": sort,
    "UID SORT": lambda cursor: sort(cursor, uid=True),
    "THREAD": thread,
    "UID THREAD": lambda cursor: thread(cursor, uid=True),
    "FETCH": fetch,
    "UID FETCH": lambda cursor: fetch(cursor, uid=True),
    "STORE": _store,
    "UID STORE": lambda cursor: _store(cursor, uid=True),
    "COPY": _copy,
    "UID COPY": lambda cursor: _copy(cursor, uid=True),
    "MOVE": _copy,
    "UID MOVE": lambda cursor: _copy(cursor, uid=True),
}
