"""Authorized URLs (RFC 4467 §9, RFC 5524 §5)."""

from __future__ import annotations

from typing import Final

from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax_urlauth import GenUrlAuthArgs, ResetKeyArgs, UrlFetchArgs, UrlWanted

_ITEMS: Final = ("BODY", "BINARY", "BODYPARTSTRUCTURE")


def gen_url_auth(cursor: Cursor) -> GenUrlAuthArgs:
    urls = [_authorize(cursor)]
    while cursor.peek() == b" ":
        urls.append(_authorize(cursor))
    return GenUrlAuthArgs(tuple(urls))


def _authorize(cursor: Cursor) -> tuple[bytes, str]:
    cursor.space()
    url = cursor.astring()
    cursor.space()
    return url, cursor.word()


def reset_key(cursor: Cursor) -> ResetKeyArgs:
    if not cursor.take(b" "):
        return ResetKeyArgs(None)
    mailbox = cursor.mailbox()
    mechanisms = []
    while cursor.take(b" "):
        mechanisms.append(cursor.word())
    return ResetKeyArgs(mailbox, tuple(mechanisms))


def url_fetch(cursor: Cursor) -> UrlFetchArgs:
    cursor.space()
    urls = [_wanted(cursor)]
    while cursor.take(b" "):
        urls.append(_wanted(cursor))
    return UrlFetchArgs(tuple(urls))


def _wanted(cursor: Cursor) -> UrlWanted:
    if not cursor.take(b"("):
        return UrlWanted(cursor.astring())
    url = cursor.astring()
    items: set[str] = set()
    while not cursor.take(b")"):
        cursor.space()
        item = cursor.word()
        if item not in _ITEMS:
            raise BadCommand(f"Unknown item {item} of a URL")
        if item in items or {item, *items} >= {"BODY", "BINARY"}:
            raise BadCommand("Each item is asked for once, and one of BODY and BINARY")  # RFC 5524 §3.1
        items.add(item)
    return UrlWanted(url, frozenset(items))
