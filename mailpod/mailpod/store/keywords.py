"""A mailbox's keywords: each that was ever set there, or that a client named, up to a limit."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from mailpod.errors import LimitReached

if TYPE_CHECKING:
    from .mailbox import Mailbox
    from .settings import StoreSettings


def check(box: Mailbox, flags: Collection[str], settings: StoreSettings) -> None:
    """Before `flags` are set. Raises LimitReached."""
    if not _fit(box, _new(box, flags), settings):
        raise LimitReached(f"A mailbox may have {settings.keywords} keywords")


def named(box: Mailbox, mode: str, flags: Collection[str], settings: StoreSettings) -> tuple[Collection[str], bool]:
    """What of `flags` is stored, and whether it must be though nothing changes: a keyword that is taken from where it
    is not is the mailbox's from then on, as in Dovecot and Cyrus, while there is room. Raises LimitReached."""
    if mode != "remove":
        check(box, flags, settings)
        return flags, False
    new = _new(box, flags)
    if _fit(box, new, settings):
        return flags, bool(new)
    return [flag for flag in flags if flag not in new], False


def _new(box: Mailbox, flags: Collection[str]) -> list[str]:
    return [flag for flag in flags if not flag.startswith("\\") and not box.knows_keyword(flag)]


def _fit(box: Mailbox, new: Collection[str], settings: StoreSettings) -> bool:
    return not new or len(box.keywords) + len(new) <= settings.keywords
