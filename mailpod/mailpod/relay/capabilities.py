"""What a server offers, from its reply to EHLO; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from mailpod.relay.replies import Reply


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The extensions that matter to us. All are absent after HELO."""

    pipelining: bool = False  # RFC 2920
    eightbit: bool = False  # RFC 6152
    smtputf8: bool = False  # RFC 6531
    starttls: bool = False  # RFC 3207
    dsn: bool = False  # RFC 3461
    requiretls: bool = False  # RFC 8689
    size: int | None = None  # RFC 1870: announced; 0 is no fixed limit
    auth: frozenset[str] = frozenset()  # RFC 4954


def parse(ehlo: Reply) -> Capabilities:
    """Keywords are in any case; unknown ones, and parameters that cannot be read, are passed over."""
    words = [line.upper().replace("AUTH=", "AUTH ").split() for line in ehlo.lines[1:]]
    offered = {found[0]: found[1:] for found in words if found}
    size = offered.get("SIZE")
    return Capabilities(
        pipelining="PIPELINING" in offered,
        eightbit="8BITMIME" in offered,
        smtputf8="SMTPUTF8" in offered,
        starttls="STARTTLS" in offered,
        dsn="DSN" in offered,
        requiretls="REQUIRETLS" in offered,
        size=None if size is None else int(size[0]) if size and size[0].isascii() and size[0].isdecimal() else 0,
        auth=frozenset(name for found in words if found and found[0] == "AUTH" for name in found[1:]),
    )
