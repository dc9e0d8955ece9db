"""IMAP URLs of one message or a part of it (RFC 5092 §11). Sans-IO.

Invariants: what is accepted names one message by its UID; every octet of it was looked at, so nothing is passed over;
components are decoded after the URL was taken apart, so that no encoded character can divide it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailpod.imap.names import DELIMITER, canonical

_LONGEST: Final = 8192
_MAX_NUMBER: Final = 2**32 - 1
_B: Final = r"(?:[A-Za-z0-9\-._~!$'()*+,&=:@/]|%[0-9A-Fa-f]{2})"  # RFC 5092 §11 bchar
_A: Final = r"(?:[A-Za-z0-9\-._~!$'()*+,&=]|%[0-9A-Fa-f]{2})"  # achar
_SERVER: Final = (
    rf"imap://(?:(?P<user>{_A}*)(?:;AUTH=(?:\*|{_A}+))?@)?(?P<host>[A-Za-z0-9\-._]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
)
_URL: Final = re.compile(
    rf"(?:{_SERVER}(?=/))?"
    rf"(?:(?P<mailbox>{_B}*?)(?:;UIDVALIDITY=(?P<uidvalidity>[1-9][0-9]{{0,9}}))?/)?"
    r";UID=(?P<uid>[1-9][0-9]{0,9})"
    rf"(?:/;SECTION=(?P<section>{_B}+?))?"
    r"(?:/;PARTIAL=(?P<first>[0-9]{1,10})(?:\.(?P<count>[1-9][0-9]{0,9}))?)?",
    re.IGNORECASE,
)
_ENCODED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


class BadSyntax(ValueError):
    """No URL of a message."""


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """`user` and `host` are None in a relative URL.

    `section` is FETCH's, b"" for the whole message; of `partial` the count is None up to the end.
    """

    user: str | None
    host: str | None
    mailbox: str
    uidvalidity: int | None
    uid: int
    section: bytes = b""
    partial: tuple[int, int | None] | None = None


def parse(url: bytes, selected: str | None = None) -> MessageUrl:
    """`selected` is the mailbox that a relative URL starts at (RFC 4469 §3). Raises BadSyntax.

    References by a relative path are taken, as RFC 5092 §9.1 and its grammar have them; its §7.2 would not.
    """
    found = _URL.fullmatch(url.decode("latin-1")) if len(url) <= _LONGEST else None
    if found is None:
        raise BadSyntax
    count, first = found["count"], found["first"]
    return MessageUrl(
        user=_optional(found["user"]),
        host=found["host"],
        mailbox=_mailbox(found["mailbox"], selected),
        uidvalidity=_number(found["uidvalidity"]) if found["uidvalidity"] else None,
        uid=_number(found["uid"]),
        section=_decoded(found["section"] or ""),
        partial=None if first is None else (int(first), None if count is None else int(count)),
    )


def _mailbox(path: str | None, selected: str | None) -> str:
    if path is None:
        if selected is None:
            raise BadSyntax
        return selected
    # RFC 3986 §4.2: two slashes begin a server, and a colon in the first segment ends a scheme
    if path.startswith("//") or ":" in path.partition("/")[0]:
        raise BadSyntax
    name = _text(path.removeprefix("/"))
    if not name:
        raise BadSyntax
    if not path.startswith("/") and selected is not None and DELIMITER in selected:
        name = selected.rpartition(DELIMITER)[0] + DELIMITER + name  # RFC 3986 §5.2.3
    return canonical(name)


def _optional(component: str | None) -> str | None:
    return None if component is None else _text(component)


def _text(component: str) -> str:
    try:
        return _decoded(component).decode("utf-8")  # RFC 5092 §11: bchar stands for UTF-8
    except UnicodeDecodeError:
        raise BadSyntax from None


def _decoded(component: str) -> bytes:
    return _ENCODED.sub(lambda found: bytes([int(found[1], 16)]), component.encode("latin-1"))


def _number(digits: str) -> int:
    value = int(digits)
    if value > _MAX_NUMBER:
        raise BadSyntax
    return value
