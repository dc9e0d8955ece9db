"""IMAP commands as values: what the parser gives and the command handlers take.

Invariants: everything here is frozen and holds no reference to the connection. Names of commands, attributes and
sections are upper case; mailbox names are str, decoded from modified UTF-7, INBOX in its canonical spelling;
system flags are in RFC 3501's spelling ("\\\\Seen"), keywords as sent. No field is checked against a mailbox here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from mailpod.imap.syntax_metadata import Entries


@dataclass(frozen=True, slots=True)
class Command:
    """One complete command. `name` is upper case and holds the UID prefix ("UID FETCH"); `args` fits the name."""

    tag: bytes
    name: str
    args: object


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """RFC 3501 §9 sequence-set: (first, last) as sent, in either order; a single number is (n, n); None is `*`."""

    ranges: tuple[tuple[int | None, int | None], ...]
    saved: bool = False  # RFC 5182 `$`


# --- FETCH, STORE, COPY, EXPUNGE (RFC 3501 §6.4) ---


@dataclass(frozen=True, slots=True)
class FetchAttr:
    """FLAGS, INTERNALDATE, RFC822.SIZE, ENVELOPE, BODYSTRUCTURE, BODY, UID, RFC822, RFC822.HEADER, RFC822.TEXT, and
    MODSEQ (RFC 7162), SAVEDATE (RFC 8514), EMAILID and THREADID (RFC 8474), PREVIEW and PREVIEW (LAZY) (RFC 8970).

    ALL, FAST and FULL are expanded by the parser.
    """

    name: str


@dataclass(frozen=True, slots=True)
class FetchBody:
    """BODY[section]<partial> and BODY.PEEK. `label` is what the response item is called: `BODY[1.MIME]<0>`."""

    path: tuple[int, ...]
    what: str  # "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME
    fields: tuple[bytes, ...]  # as sent
    peek: bool
    partial: tuple[int, int] | None  # first octet, count (> 0)
    label: bytes


@dataclass(frozen=True, slots=True)
class FetchBinary:
    """BINARY[section]<partial>, BINARY.PEEK, and with `size` BINARY.SIZE (RFC 3516 §4.2)."""

    path: tuple[int, ...]
    size: bool
    peek: bool
    partial: tuple[int, int] | None
    label: bytes
    what: str = ""
    fields: tuple[bytes, ...] = ()


FetchItem: TypeAlias = FetchAttr | FetchBody | FetchBinary


@dataclass(frozen=True, slots=True)
class FetchArgs:
    """`changed_since` and `vanished` are modifiers of RFC 7162 (§3.1.4.1, §3.2.6); MODSEQ is among the items then."""

    set: SequenceSet
    items: tuple[FetchItem, ...]
    uid: bool
    changed_since: int | None = None
    vanished: bool = False
    partial: tuple[int, int] | None = None  # RFC 9394 §3.3, as in Return


@dataclass(frozen=True, slots=True)
class StoreArgs:
    set: SequenceSet
    mode: Literal["add", "remove", "set"]
    silent: bool
    flags: tuple[str, ...]
    uid: bool
    unchanged_since: int | None = None  # RFC 7162 §3.1.3


@dataclass(frozen=True, slots=True)
class CopyArgs:
    """COPY and MOVE."""

    set: SequenceSet
    mailbox: str
    uid: bool


@dataclass(frozen=True, slots=True)
class ExpungeArgs:
    """`set` is of UIDs (RFC 4315 §2.1) and None for plain EXPUNGE."""

    set: SequenceSet | None


# --- mailboxes ---


@dataclass(frozen=True, slots=True)
class TextPart:
    """CATENATE's TEXT and UTF8."""

    data: bytes
    binary: bool


@dataclass(frozen=True, slots=True)
class UrlPart:
    """CATENATE's URL, as sent."""

    url: bytes


class AppendMessage(msgspec.Struct, frozen=True):
    """`parts` are CATENATE's (RFC 4469); there is no `data` then."""

    flags: tuple[str, ...]
    date: int | None  # Unix seconds; None = now
    data: bytes
    binary: bool = False  # came as a literal8, which may hold any octets
    zone: int = 0  # of the date, minutes east of UTC
    parts: tuple[TextPart | UrlPart, ...] = ()


@dataclass(frozen=True, slots=True)
class AppendArgs:
    mailbox: str
    messages: tuple[AppendMessage, ...]


@dataclass(frozen=True, slots=True)
class ReplaceArgs:
    """RFC 8508 §3: `number` is of the message to replace, None for `*`."""

    number: int | None
    mailbox: str
    message: AppendMessage
    uid: bool


@dataclass(frozen=True, slots=True)
class Resync:
    """SELECT's QRESYNC (RFC 7162 §3.2.5): what the client knew. `numbers` and `number_uids` are its sample of pairs."""

    uidvalidity: int
    modseq: int
    known: SequenceSet | None = None
    numbers: SequenceSet | None = None
    number_uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class SelectArgs:
    """SELECT and EXAMINE."""

    mailbox: str
    condstore: bool = False
    resync: Resync | None = None


@dataclass(frozen=True, slots=True)
class MailboxArgs:
    """DELETE, SUBSCRIBE, UNSUBSCRIBE, GETQUOTAROOT, GETACL, MYRIGHTS."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class CreateArgs:
    """`uses` are RFC 6154's: `\\\\Sent`."""

    mailbox: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RenameArgs:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ListArgs:
    """LIST and LSUB. The options are RFC 5258's and RFC 6154's; `items` are those of RFC 5819's STATUS, `entries` those
    of RFC 9590's METADATA."""

    reference: str
    patterns: tuple[str, ...]
    selection: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset()
    extended: bool = False
    items: tuple[str, ...] = ()
    entries: Entries | None = None


@dataclass(frozen=True, slots=True)
class StatusArgs:
    mailbox: str
    items: tuple[str, ...]  # grammar_status.py has all


@dataclass(frozen=True, slots=True)
class AclArgs:
    """SETACL, DELETEACL, LISTRIGHTS (RFC 4314 §3). `rights` may begin with + or -."""

    mailbox: str
    identifier: str
    rights: str = ""


@dataclass(frozen=True, slots=True)
class QuotaArgs:
    """GETQUOTA and SETQUOTA."""

    root: bytes


# --- session ---


@dataclass(frozen=True, slots=True)
class LoginArgs:
    """repr leaves the password out: it must reach no log."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"LoginArgs({self.username!r}, …)"


@dataclass(frozen=True, slots=True)
class AuthenticateArgs:
    """`initial` is RFC 4959's response, base64 undone; b"" for `=`; None when absent."""

    mechanism: str
    initial: bytes | None

    def __repr__(self) -> str:
        return f"AuthenticateArgs({self.mechanism!r}, …)"


@dataclass(frozen=True, slots=True)
class CompressArgs:
    algorithm: str


@dataclass(frozen=True, slots=True)
class EnableArgs:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UidBatchesArgs:
    """RFC 10022: messages of a batch, and the first and the last batch that is asked for."""

    size: int
    batches: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class IdArgs:
    """RFC 2971 field-value pairs; None for NIL."""

    fields: tuple[tuple[bytes, bytes | None], ...] | None


@dataclass(frozen=True, slots=True)
class NoArgs:
    """CAPABILITY, NOOP, LOGOUT, STARTTLS, CHECK, CLOSE, UNSELECT, NAMESPACE, IDLE, UNAUTHENTICATE."""
