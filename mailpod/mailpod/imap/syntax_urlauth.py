"""URLAUTH's commands as values (RFC 4467 §7, RFC 5524 §3.1). URLs are as sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GenUrlAuthArgs:
    """URLs to be authorized, each with its mechanism in upper case."""

    urls: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class ResetKeyArgs:
    """`mailbox` is None for all."""

    mailbox: str | None
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UrlWanted:
    """A URL and what is wanted of it: BODY or BINARY, and BODYPARTSTRUCTURE; nothing is RFC 4467's URLFETCH."""

    url: bytes
    items: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UrlFetchArgs:
    urls: tuple[UrlWanted, ...]
