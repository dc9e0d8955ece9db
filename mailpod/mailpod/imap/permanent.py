"""FLAGS and PERMANENTFLAGS (RFC 3501 §7.2.6, §7.1): which flags a mailbox knows, and which the client may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mailpod.store import Access, Mailbox

FLAG_RIGHTS: Final = frozenset("swt")  # RFC 4314 §4, "Changing flags"
_SYSTEM: Final = ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")


def flags_line(mailbox: Mailbox) -> bytes:
    """`* FLAGS (…)`: on SELECT, and again when a keyword came into use (RFC 3501 §7.2.6)."""
    return b"* FLAGS (%b)\r\n" % " ".join([*_SYSTEM, *mailbox.keywords]).encode("ascii")


def permanent_flags(mailbox: Mailbox, access: Access, read_only: bool, full: bool) -> bytes:
    """`* OK [PERMANENTFLAGS (…)]`, as the user's rights are (RFC 4314 §5.1.1). `full`: no keyword can be added (RFC
    9051 §7.1)."""
    known = (*_SYSTEM, *mailbox.keywords)
    flags = () if read_only else access.allowed(mailbox, known if full else (*known, "\\*"))
    text = (
        b"Keywords may be added" if "\\*" in flags else b"Others cannot be changed" if flags else b"None can be changed"
    )
    return b"* OK [PERMANENTFLAGS (%b)] %b\r\n" % (" ".join(flags).encode("ascii"), text)
