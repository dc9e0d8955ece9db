"""A commit: one line of JSON, then the raw bytes of the messages it adds (FORMAT.md, "Commit").

The structs below are the format. A field is added only with a default, an operation only as FORMAT.md's "Changing
the format" allows. Bytes stand in JSON as Latin-1 text: one character a byte.
"""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

import msgspec

from .objects import Buffer

VERSION = 1


class UnknownOperation(Exception):
    """The commit holds an operation of a later version: the account is read-only for this pod (DECISIONS, "Format")."""


class BadCommit(Exception):
    """The object is not a commit, or is not whole."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the index knows of a message. `loc` is (key, offset, length); an empty key is this commit's raw part."""

    date: int
    saved: int
    size: int
    loc: tuple[str, int, int]
    sum: str
    hs: int
    env: str
    bs: str
    hdr: str = ""
    other: str = ""
    parts: tuple[int, ...] = ()
    eid: str = ""
    zone: int = 0


class PageRef(msgspec.Struct, frozen=True, array_like=True):
    """A page by its random id, with the checksum of its bytes. `shift` is added to the UIDs that it holds."""

    id: str
    sum: bytes
    first: int
    last: int
    count: int
    length: int
    shift: int = 0
    table: bool = False


class Open(msgspec.Struct, frozen=True, tag="open", tag_field="op"):
    """The first operation of log/1 (STORE.md rule 14). `floor`: every UIDVALIDITY is above it."""

    domain: str
    local: str
    incarnation: str
    floor: int


class Create(msgspec.Struct, frozen=True, omit_defaults=True, tag="create", tag_field="op"):
    """`old`: the name of the one that was renamed to it and stays, which is INBOX."""

    box: int
    name: str
    uidvalidity: int
    use: str | None = None
    old: str = ""


class Rename(msgspec.Struct, frozen=True, tag="rename", tag_field="op"):
    box: int
    name: str


class Delete(msgspec.Struct, frozen=True, tag="delete", tag_field="op"):
    box: int


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe", tag_field="op"):
    name: str


class Unsubscribe(msgspec.Struct, frozen=True, tag="unsubscribe", tag_field="op"):
    name: str


class Annotate(msgspec.Struct, frozen=True, omit_defaults=True, tag="annotate", tag_field="op"):
    """Annotations of a mailbox, or of the account where `box` is 0, in order; None removes one (annotations.py).
    `modseq`: the mailbox's HIGHESTMODSEQ becomes the commit's, which the first version did not do."""

    box: int
    entries: tuple[tuple[str, str | None], ...]
    modseq: bool = False


class Append(msgspec.Struct, frozen=True, omit_defaults=True, tag="append", tag_field="op"):
    box: int
    uid: int
    rec: Record
    flags: tuple[str, ...] = ()
    did: str = ""


class Appends(msgspec.Struct, frozen=True, omit_defaults=True, tag="appends", tag_field="op"):
    """Messages that came together, as `uid`, `uid`+1, … Their bytes lie back to back from `at` on: in the object `key`,
    or behind this commit's line.

    `sums` are their checksums, 32 hex digits each. `dates` (INTERNALDATE) and `flags` are of each, or one of all;
    `zones` are of each, or none: 0. What else an index knows of a message is found out from its bytes (unscanned.py).
    """

    box: int
    uid: int
    at: int
    sizes: tuple[int, ...]
    sums: str
    saved: int
    dates: tuple[int, ...]
    zones: tuple[int, ...] = ()
    flags: tuple[tuple[str, ...], ...] = ((),)
    key: str = ""


class Flags(msgspec.Struct, frozen=True, omit_defaults=True, tag="flags", tag_field="op"):
    """New flags = add, where `set`; else (old - remove) | add. UIDs that are gone are passed over."""

    box: int
    uids: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    set: bool = False


class Expunge(msgspec.Struct, frozen=True, tag="expunge", tag_field="op"):
    box: int
    uids: str


class Copy(msgspec.Struct, frozen=True, omit_defaults=True, tag="copy", tag_field="op"):
    """The messages `uids` of `box`, all alive before this operation, again as `first`, `first`+1, … of `to`.

    Flags are those of the source. What the index knows of them stands in `recs` or in `pages`. `move` expunges them.
    """

    box: int
    to: int
    uids: str
    first: int
    recs: tuple[Record, ...] = ()
    pages: tuple[PageRef, ...] = ()
    move: bool = False


class Recent(msgspec.Struct, frozen=True, tag="recent", tag_field="op"):
    """Messages below `uid` were shown to a session as \\Recent."""

    box: int
    uid: int


class Relocate(msgspec.Struct, frozen=True, tag="relocate", tag_field="op"):
    """STORE.md rule 10: (UID, old key, old offset, new key, new offset); applies while the old location is current."""

    box: int
    moves: tuple[tuple[int, str, int, str, int], ...]


class Grant(msgspec.Struct, frozen=True, omit_defaults=True, tag="grant", tag_field="op"):
    """What `who` may do in a mailbox: RFC 4314's letters; none: nothing. `incarnation` is of that address's account."""

    box: int
    who: str
    incarnation: str = ""
    rights: str = ""


class UrlKey(msgspec.Struct, frozen=True, omit_defaults=True, tag="urlkey", tag_field="op"):
    """The key by which URLs of a mailbox's messages are authorized (RFC 4467 §2.2), in hex; none: there is none."""

    box: int
    key: str = ""


class Close(msgspec.Struct, frozen=True, tag="close", tag_field="op"):
    """STORE.md rule 15: nothing may follow."""


Operation: TypeAlias = (
    Open
    | Create
    | Rename
    | Delete
    | Subscribe
    | Unsubscribe
    | Annotate
    | Append
    | Appends
    | Flags
    | Expunge
    | Copy
    | Recent
    | Relocate
    | Grant
    | UrlKey
    | Close
)

LATER: Final = ("annotate", "grant", "urlkey", "appends")
"""Operations that not every version can read: written where the domain's entry names them (DECISIONS, "Format")."""


class _Start(msgspec.Struct, frozen=True):
    v: int
    id: str
    prev: str
    seq: int
    at: int
    by: str


class Header(_Start, frozen=True, kw_only=True):
    """A commit's first line. `at` is the committer's clock in Unix seconds, `by` its pod; `bytes` follow the line, in
    `blocks` with `checks` (blocks.py): they stand before what is long."""

    blocks: list[int] | msgspec.UnsetType = msgspec.UNSET
    checks: str | msgspec.UnsetType = msgspec.UNSET
    ops: tuple[Operation, ...]
    bytes: int = 0

    @property
    def unscanned(self) -> int:
        """Messages that it adds without what is found out of their bytes."""
        return sum(len(op.sizes) for op in self.ops if isinstance(op, Appends))


class _Loose(msgspec.Struct):
    v: int
    ops: list[dict[str, object]]


def replace_location(record: Record, loc: tuple[str, int, int]) -> Record:
    return msgspec.structs.replace(record, loc=loc)


def shift_page(ref: PageRef, shift: int) -> PageRef:
    """The same page with its UIDs moved."""
    return msgspec.structs.replace(ref, shift=ref.shift + shift, first=ref.first + shift, last=ref.last + shift)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Header)
_LOOSE = msgspec.json.Decoder(_Loose)
_KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Operation))


def encode_header(header: Header) -> bytes:
    """The commit's first line, newline included."""
    return _ENCODER.encode(header) + b"\n"


def decode_header(line: Buffer) -> Header:
    """A commit's first line, without its newline. Raises UnknownOperation or BadCommit."""
    try:
        header = _DECODER.decode(line)
    except msgspec.DecodeError as error:
        raise _explain(line, error) from error
    if header.v != VERSION:
        raise UnknownOperation(f"format version {header.v}")
    return header


def _explain(line: Buffer, error: Exception) -> Exception:
    try:
        loose = _LOOSE.decode(line)
    except msgspec.DecodeError:
        return BadCommit(str(error))
    unknown = sorted({str(op.get("op")) for op in loose.ops} - _KNOWN)
    if loose.v != VERSION or unknown:
        return UnknownOperation(f"format version {loose.v}, operations {', '.join(unknown) or 'known'}")
    return BadCommit(str(error))
