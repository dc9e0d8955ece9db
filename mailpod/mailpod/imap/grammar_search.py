"""SEARCH programs: RFC 3501 §6.4.4.

Invariant: nesting and the number of keys are bounded, so neither parsing nor evaluation can run away.
"""

from __future__ import annotations

import datetime
import encodings.aliases
import re
from collections.abc import Callable
from typing import Final, Literal

from mailpod.errors import MailError
from mailpod.imap.dates import parse_date
from mailpod.imap.grammar_return import returns
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax import SequenceSet
from mailpod.imap.syntax_search import (
    Age,
    All,
    And,
    Body,
    CancelArgs,
    DateKey,
    EmailId,
    Flag,
    Fuzzy,
    Header,
    Modseq,
    Not,
    Or,
    Recent,
    Return,
    SearchArgs,
    SearchKey,
    Seq,
    Size,
    Text,
    ThreadId,
    Uid,
)

_MAX_DEPTH: Final = 50
_ENTRY: Final = re.compile(rb'/flags/(?!\\recent\Z)\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+', re.IGNORECASE)  # RFC 7162 §7
_OBJECT_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}")  # RFC 8474 §7
_MAX_KEYS: Final = 1000
_MAX_UID: Final = 2**32 - 1
_MAX_TAGS: Final = 1000

# Python's own names for charsets: a lookup never imports, and what is no charset of text in mail is left out
_CODECS: Final = {
    name: codec
    for name, codec in (
        *encodings.aliases.aliases.items(),
        *((codec, codec) for codec in encodings.aliases.aliases.values()),
    )
    if codec not in {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
    and codec not in {"mbcs", "oem", "utf_7"}
}

_PLAIN: Final[dict[str, SearchKey]] = {
    "ALL": All(),
    "ANSWERED": Flag("\\Answered", True),
    "DELETED": Flag("\\Deleted", True),
    "DRAFT": Flag("\\Draft", True),
    "FLAGGED": Flag("\\Flagged", True),
    "SEEN": Flag("\\Seen", True),
    "UNANSWERED": Flag("\\Answered", False),
    "UNDELETED": Flag("\\Deleted", False),
    "UNDRAFT": Flag("\\Draft", False),
    "UNFLAGGED": Flag("\\Flagged", False),
    "UNSEEN": Flag("\\Seen", False),
    "NEW": And((Recent(True), Flag("\\Seen", False))),
    "OLD": Recent(False),
    "RECENT": Recent(True),
    "SAVEDATESUPPORTED": All(),  # RFC 8514 §4.3
}
_FIELDS: Final = frozenset(("BCC", "CC", "FROM", "SUBJECT", "TO"))
_DATES: Final[dict[str, tuple[Literal["internal", "sent", "saved"], Literal["before", "on", "since"]]]] = {
    "BEFORE": ("internal", "before"),
    "ON": ("internal", "on"),
    "SINCE": ("internal", "since"),
    "SENTBEFORE": ("sent", "before"),
    "SENTON": ("sent", "on"),
    "SENTSINCE": ("sent", "since"),
    "SAVEDBEFORE": ("saved", "before"),  # RFC 8514 §4.3
    "SAVEDON": ("saved", "on"),
    "SAVEDSINCE": ("saved", "since"),
}


class BadCharset(MailError):
    """RFC 3501 §6.4.4: the charset is not supported; a NO, with those that are."""

    imap = ("NO", "BADCHARSET (UTF-8 US-ASCII)")
    text = "The charset is not supported"


class UnsavedCharset(BadCharset):
    """The same where the result was to be saved: `$` is empty from then on (RFC 5182 §2.1)."""


def search(cursor: Cursor, uid: bool = False) -> SearchArgs:
    cursor.space()
    wanted = returns(cursor)
    charset = None
    start = cursor.at
    if cursor.line[start : start + 8].upper() == b"CHARSET ":
        cursor.at += 8
        charset = cursor.astring()
        cursor.space()
    return program(cursor, charset, uid, wanted)


def cancel_update(cursor: Cursor) -> CancelArgs:
    cursor.space()
    tags = [cursor.string()]
    while cursor.take(b" "):
        tags.append(cursor.string())
        if len(tags) > _MAX_TAGS:
            raise BadCommand(f"More than {_MAX_TAGS} tags")
    return CancelArgs(tuple(tags))


def program(cursor: Cursor, charset: bytes | None, uid: bool, wanted: Return | None = None) -> SearchArgs:
    """The search keys, up to the end of the command."""
    try:
        keys = _Program(cursor, _codec(charset))
        key = keys.keys()
    except BadCharset as error:
        if wanted is not None and "SAVE" in wanted.options:
            raise UnsavedCharset(str(error)) from None
        raise
    if wanted is not None and "RELEVANCY" in wanted.options and not keys.fuzzy:
        raise BadCommand("RELEVANCY is of FUZZY keys")  # RFC 6203 §4
    return SearchArgs(key, charset, uid, keys.modseq, wanted, keys.numbered, keys.fuzzy)


def _codec(charset: bytes | None) -> str:
    if charset is None:
        return "utf-8"  # RFC 9051 §6.4.4; a superset of RFC 3501's US-ASCII
    codec = _CODECS.get(charset.decode("latin-1").lower().replace("-", "_").replace(" ", "_"))
    if codec is None:
        raise BadCharset
    return codec


class _Program:
    """One program: the cursor, the charset's codec and how many keys there are so far."""

    __slots__ = ("_codec", "_count", "_cursor", "fuzzy", "modseq", "numbered")

    def __init__(self, cursor: Cursor, codec: str) -> None:
        self._cursor = cursor
        self._codec = codec
        self._count = 0
        self.modseq = False  # is it asked for?
        self.fuzzy = False
        self.numbered = False  # are messages named by number?

    def keys(self, depth: int = 0) -> SearchKey:
        """search-key *(SP search-key): all must match."""
        keys = [self._key(depth)]
        while self._cursor.take(b" "):
            keys.append(self._key(depth))
        return keys[0] if len(keys) == 1 else And(tuple(keys))

    def _key(self, depth: int) -> SearchKey:
        self._count += 1
        if self._count > _MAX_KEYS:
            raise BadCommand(f"More than {_MAX_KEYS} search keys")
        if depth > _MAX_DEPTH:
            raise BadCommand(f"Search keys are nested deeper than {_MAX_DEPTH}")
        following = self._cursor.peek()
        if following == b"(":
            return self._list(depth)
        if following.isdigit() or following in (b"*", b"$"):
            wanted = self._cursor.sequence_set()
            self.numbered = self.numbered or not wanted.saved
            return Seq(wanted)
        return self._named(depth)

    def _list(self, depth: int) -> SearchKey:
        self._cursor.need(b"(")
        keys = self.keys(depth + 1)
        self._cursor.need(b")")
        return keys

    def _named(self, depth: int) -> SearchKey:
        name = self._cursor.word()
        plain = _PLAIN.get(name)
        if plain is not None:
            return plain
        if name in _FIELDS:
            return Header(name.lower().encode(), self._text())
        if name in _DATES:
            return DateKey(*_DATES[name], self._date())
        if name == "NOT":
            return Not(self._operand(depth))
        if name == "OR":
            first = self._operand(depth)
            return Or(first, self._operand(depth))
        if name == "FUZZY":
            self.fuzzy = True
            return Fuzzy(self._operand(depth))
        parse = _WITH_ARGUMENT.get(name)
        if parse is None:
            raise BadCommand(f"Unknown search key {name}")
        return parse(self)

    def _operand(self, depth: int) -> SearchKey:
        self._cursor.space()
        return self._key(depth + 1)

    def _text(self) -> str:
        self._cursor.space()
        try:
            return self._cursor.octets().decode(self._codec)
        except LookupError:  # an alias whose codec this Python was built without
            raise BadCharset from None
        except UnicodeError:  # a NO: Angus Mail, whose quoted strings are Latin-1 in UTF8=ACCEPT, then looks itself
            raise BadCharset("A search string is not valid in its charset") from None

    def _date(self) -> datetime.date:
        self._cursor.space()
        try:
            return parse_date(self._cursor.astring())
        except ValueError as error:
            raise BadCommand(f"Syntax error: {error}") from None

    def header(self) -> SearchKey:
        self._cursor.space()
        name = self._cursor.astring()
        text = self._text()
        return Header(name.lower(), text) if name else Not(All())  # RFC 5322 §2.2: no field has an empty name

    def keyword(self, present: bool) -> SearchKey:
        self._cursor.space()
        return Flag(self._cursor.atom().decode("ascii"), present)

    def size(self, op: Literal["larger", "smaller"]) -> SearchKey:
        self._cursor.space()
        return Size(op, self._cursor.large_number())  # RFC 9051 §9 search-key: number64

    def changed(self) -> SearchKey:
        """MODSEQ [entry-name entry-type] n: RFC 7162 §3.1.5."""
        self.modseq = True
        self._cursor.space()
        if self._cursor.peek() == b'"':
            if not _ENTRY.fullmatch(self._cursor.string()):
                raise self._cursor.error("expected /flags/ and a flag before here")
            self._cursor.space()
            if self._cursor.word() not in ("PRIV", "SHARED", "ALL"):
                raise self._cursor.error("expected priv, shared or all before here")
            self._cursor.space()
        return Modseq(self._cursor.large_number())

    def age(self, older: bool) -> SearchKey:
        self._cursor.space()
        seconds = self._cursor.number()
        if not seconds:
            raise self._cursor.error("expected a number above 0 before here")  # RFC 5032 §3: nz-number
        return Age(older, seconds)

    def email_id(self) -> SearchKey:
        self._cursor.space()
        return EmailId(self._cursor.expect(_OBJECT_ID, "an object id"))

    def thread_id(self) -> SearchKey:
        self._cursor.space()
        return ThreadId(self._cursor.expect(_OBJECT_ID, "an object id"))

    def body(self) -> SearchKey:
        return Body(self._text())

    def text(self) -> SearchKey:
        return Text(self._text())

    def uid(self) -> SearchKey:
        self._cursor.space()
        return Uid(self._cursor.sequence_set())

    def uid_after(self) -> SearchKey:
        """RFC 9738 §3.2: greater, so nothing above the highest there can be."""
        first = self._bound() + 1
        return Uid(SequenceSet(((first, _MAX_UID),))) if first <= _MAX_UID else Not(All())

    def uid_before(self) -> SearchKey:
        """RFC 9738 §3.2: the empty set below 1."""
        last = self._bound() - 1
        return Uid(SequenceSet(((1, last),))) if last else Not(All())

    def _bound(self) -> int:
        self._cursor.space()
        uid = self._cursor.number()
        if not uid:
            raise BadCommand("A UID is not zero")
        return uid


_WITH_ARGUMENT: Final[dict[str, Callable[[_Program], SearchKey]]] = {
    "BODY": _Program.body,
    "EMAILID": _Program.email_id,
    "OLDER": lambda program: program.age(older=True),
    "THREADID": _Program.thread_id,
    "YOUNGER": lambda program: program.age(older=False),
    "HEADER": _Program.header,
    "KEYWORD": lambda program: program.keyword(True),
    "MODSEQ": _Program.changed,
    "LARGER": lambda program: program.size("larger"),
    "SMALLER": lambda program: program.size("smaller"),
    "TEXT": _Program.text,
    "UID": _Program.uid,
    "UIDAFTER": _Program.uid_after,
    "UIDBEFORE": _Program.uid_before,
    "UNKEYWORD": lambda program: program.keyword(False),
}
