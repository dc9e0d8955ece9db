"""Address lists of From, To and the like, as ENVELOPE shows them (RFC 5322 §3.4, RFC 3501 §7.4.2).

Nothing is dropped silently: what cannot be an address still shows, with Dovecot's MISSING_MAILBOX, MISSING_DOMAIN or
SYNTAX_ERROR where a part is not there. Linear in the input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from mailpod.mime.params import skip_comment, unquote
from mailpod.mime.wire import NIL, nstring, string

_ATOM = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
# One mailbox of the kind nearly all mail has, with what ends it. No class meets its neighbour, so nothing backtracks.
_SIMPLE = re.compile(
    rb"[ \t\r\n]*(?![ \t\r\n])(?:(?:\"([ -!#-\[\]-~]*)\"|([." + _ATOM + rb"]+(?: [." + _ATOM + rb"]+)*))?[ \t]*"
    rb"<([." + _ATOM + rb"]+)@([A-Za-z0-9.-]+)>|([." + _ATOM + rb"]+)@([A-Za-z0-9.-]+))[ \t\r\n]*(?:,|\Z)"
)
_TOKENS = re.compile(
    rb"(?P<space>[ \t\r\n]+)|\"(?P<quoted>[^\"\\]*(?:\\.[^\"\\]*)*)\\?(?:\"|\Z)"
    rb"|(?P<literal>\[[^\[\]\\]*(?:\\.[^\[\]\\]*)*\])|(?P<atom>[^ \t\r\n\"()<>@,;:\[\]]+)|(?P<special>.)",
    re.DOTALL,
)
_END_OF_GROUP = b"(NIL NIL NIL NIL)"
_REMEMBERED: Final = 1024  # fields: people write to the same few
_SHORT: Final = 256  # octets of one that is remembered


def address_list(values: list[bytes]) -> bytes:
    """Raw values of all fields of one name, as one list on the wire; NIL when there is no address in them."""
    if len(values) == 1 and len(values[0]) <= _SHORT:
        return _remembered(values[0])
    # As Dovecot: several From fields are one list, so that none of them is shown for another
    return _listed(b"".join([b"".join(_addresses(value)) for value in values]))


@lru_cache(_REMEMBERED)
def _remembered(value: bytes) -> bytes:
    return _listed(b"".join(_addresses(value)))


def _listed(found: bytes) -> bytes:
    return b"(%b)" % found if found else NIL


def mailboxes(value: bytes) -> list[bytes]:
    """`local@domain` of each address that has both, however it is written: without comments, white space and quotes."""
    parser = _Parser(value.rstrip(b" \t\r\n"), 0)
    parser.run()
    return parser.mailboxes


def _addresses(value: bytes) -> list[bytes]:
    value = value.rstrip(b" \t\r\n")
    out: list[bytes] = []
    at = 0
    end = len(value)
    while at < end:
        simple = _SIMPLE.match(value, at)
        if simple is None:
            return out + _Parser(value, at).run()
        quoted, plain, local, domain, bare_local, bare_domain = simple.groups()
        name = quoted or plain
        if bare_local:
            out.append(b'(NIL NIL "%b" "%b")' % (bare_local, bare_domain))
        elif name and len(name) < 1000:
            out.append(b'("%b" NIL "%b" "%b")' % (name, local, domain))
        else:
            out.append(b"(%b NIL %b %b)" % (nstring(name), string(local), string(domain)))
        at = simple.end()
    return out


class _Word(NamedTuple):
    spaced: bool  # white space or a comment stood before it
    kind: str  # the group of _TOKENS
    text: bytes


@dataclass(slots=True)
class _Parser:
    """Reads tokens once, from left to right, and closes an address at a comma, a semicolon or the end."""

    value: bytes
    at: int
    out: list[bytes] = field(default_factory=list)
    mailboxes: list[bytes] = field(default_factory=list)
    words: list[_Word] = field(default_factory=list)
    name: bytes = b""  # what stood before "<"
    angle: bool = False
    closed: bool = False  # ">" was met
    has_at: bool = False
    group: bool = False
    comment: bytes = b""
    spaced: bool = False

    def run(self) -> list[bytes]:
        value, end = self.value, len(self.value)
        while self.at < end:
            if value[self.at] == 0x28:
                after = skip_comment(value, self.at)
                self.comment = value[self.at + 1 : after - 1 if value[after - 1] == 0x29 else after]
                self.at, self.spaced = after, True
                continue
            token = _TOKENS.match(value, self.at)
            assert token is not None  # `special` takes any byte
            self.at = token.end()
            kind = str(token.lastgroup)
            if kind == "space":
                self.spaced = True
            elif kind == "special":
                self._special(token[0])
            else:
                self._word(kind, unquote(token[kind]) if kind == "quoted" else token[0])
        self._finish()
        if self.group:
            self.out.append(_END_OF_GROUP)
        return self.out

    def _special(self, text: bytes) -> None:
        opened = self.angle and not self.closed
        if text == b"," and not (opened and self.words and self.words[0].text == b"@"):
            self._finish()  # but RFC 5322 §4.4: obs-route has commas
        elif text == b"<" and not self.angle:
            self.name, self.words, self.angle = _join(self.words), [], True
        elif text == b">" and opened:
            self.closed = True
        elif text == b":" and not self.angle and not self.group and not self.has_at:
            self._start_group()
        elif text == b";" and not opened:
            self._finish()
            if self.group:
                self.out.append(_END_OF_GROUP)
            self.group = False
        elif text != b"<":
            self.has_at = self.has_at or text == b"@"
            self._word("special", text)

    def _word(self, kind: str, text: bytes) -> None:
        if not self.closed:  # what stands after ">" belongs to nothing
            if not self.words:
                self.comment = b""  # only a comment after an address names it
            self.words.append(_Word(self.spaced, kind, text))
        self.spaced = False

    def _start_group(self) -> None:
        self.out.append(b"(NIL NIL %b NIL)" % string(_join(self.words)))
        self._clear()
        self.group = True

    def _clear(self) -> None:
        self.words, self.name, self.comment = [], b"", b""
        self.angle = self.closed = self.has_at = self.spaced = False

    def _finish(self) -> None:
        if self.words or self.angle:
            self.out.append(self._address())
        self._clear()

    def _address(self) -> bytes:
        route, words = _route(self.words) if self.angle else (None, self.words)
        local, rest = _run(words)
        has_at = bool(rest) and rest[0].text == b"@"
        domain = _run(rest[1:])[0] if has_at else b""
        if local and domain:
            self.mailboxes.append(b"%b@%b" % (local, domain))
        name = self.name
        if not self.angle:
            name = unquote(self.comment)
            if not has_at and (len(words) > 1 or words[0].kind == "quoted"):
                # a name with no address, such as "To: Bob Example"
                name, local = _join(words), b""
        if self.angle and (not self.closed or (rest and not has_at)):
            domain = b"SYNTAX_ERROR"
        wanted = (name or None, route, local or b"MISSING_MAILBOX", domain or b"MISSING_DOMAIN")
        return b"(%b)" % b" ".join([nstring(part) for part in wanted])


def _route(words: list[_Word]) -> tuple[bytes | None, list[_Word]]:
    """RFC 5322 §4.4 obs-route, "@a,@b:" before the address; it is kept without its colon."""
    if words and words[0].text == b"@":
        for at, word in enumerate(words):
            if word.text == b":" and word.kind == "special":
                return b"".join([part.text for part in words[:at]]), words[at + 1 :]
    return None, words


def _run(words: list[_Word]) -> tuple[bytes, list[_Word]]:
    """A local part or domain, white space allowed around its dots only (RFC 5322 §4.4), and the words after it."""
    texts: list[bytes] = []
    for word in words:
        apart = word.spaced and texts and not texts[-1].endswith(b".") and not word.text.startswith(b".")
        if word.kind == "special" or apart:
            break
        texts.append(word.text)
    return b"".join(texts), words[len(texts) :]


def _join(words: list[_Word]) -> bytes:
    """The words of a phrase with one space between them (RFC 5322 §3.2.5)."""
    out = []
    before = ""
    for word in words:
        if before and (word.spaced or "quoted" in (before, word.kind)):
            out.append(b" ")
        out.append(word.text)
        before = word.kind
    return b"".join(out)
