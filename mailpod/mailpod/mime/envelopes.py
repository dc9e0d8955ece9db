"""What SORT and THREAD need of an ENVELOPE as `envelope` wrote it: the subject, and the first address of a list.

Invariant: linear in the envelope, and no exception on anything that `envelope` gives.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mailpod.mime.sections import tokens

_STRING: Final = rb'(?:NIL|"[^"\\]*(?:\\.[^"\\]*)*")'
_ADDRESS: Final = rb"\(%b %b %b %b\)" % ((_STRING,) * 4)
_LIST: Final = rb"(?:NIL|\((?:%b)+\))" % _ADDRESS
_FIRST: Final = rb"(?:NIL|\(\((%b) %b (%b) (%b)\)(?:%b)*\))" % (*((_STRING,) * 4), _ADDRESS)
# date, subject, from, sender, reply-to, to, cc: nearly every envelope has quoted strings only
_USUAL: Final = re.compile(
    rb"\(%b (%b) %b %b %b %b %b " % (_STRING, _STRING, _FIRST, _LIST, _LIST, _FIRST, _FIRST), re.DOTALL
)
_SUBJECT_ONLY: Final = re.compile(rb"\(%b (%b) " % (_STRING, _STRING), re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_SUBJECT, _FROM, _TO, _CC = 1, 2, 5, 6


class Address(NamedTuple):
    """An address structure without its route; of the start of a group, `host` is None and `mailbox` its name."""

    name: bytes | None
    mailbox: bytes | None
    host: bytes | None


class Heads(NamedTuple):
    """The beginning of an envelope. An address is None where its list is empty."""

    subject: bytes | None
    sender: Address | None
    to: Address | None
    cc: Address | None


def heads(envelope: bytes) -> Heads:
    """From ENVELOPE's wire form, with its parentheses. Encoded words stay."""
    usual = _USUAL.match(envelope)
    if usual is None:
        return _slowly(envelope)
    subject, *words = usual.groups()
    return Heads(_text(subject), *(_address(words[at : at + 3]) for at in (0, 3, 6)))


def subject_of(envelope: bytes) -> bytes | None:
    """`heads(envelope).subject`."""
    usual = _SUBJECT_ONLY.match(envelope)
    return _text(usual[1]) if usual else _slowly(envelope).subject


def _address(words: list[bytes | None]) -> Address | None:
    return None if words[0] is None else Address(*map(_text, words))


def _text(word: bytes | None) -> bytes | None:
    if word is None or word == b"NIL":
        return None
    if word.startswith(b"{"):
        return word.partition(b"\r\n")[2]
    return _ESCAPE.sub(rb"\1", word[1:-1]) if b"\\" in word else word[1:-1]


def _slowly(envelope: bytes) -> Heads:
    """An envelope with literals in it: depth 1 has its fields, 2 a list, 3 the words of an address."""
    depth = field = 0
    subject: bytes | None = None
    lists: dict[int, list[bytes | None]] = {_FROM: [], _TO: [], _CC: []}
    for piece in tokens(envelope):
        if piece in (b"(", b")"):
            depth += 1 if piece == b"(" else -1
        elif piece == b" ":
            field += depth == 1
        elif depth == 1 and field == _SUBJECT:
            subject = _text(piece)
        elif depth == 3 and field in lists and len(lists[field]) < 4:
            lists[field].append(_text(piece))
    found = [Address(words[0], words[2], words[3]) if words else None for words in lists.values()]
    return Heads(subject, *found)
