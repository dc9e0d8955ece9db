"""METADATA's commands as values (RFC 5464 §4). Entry names are lower case: they are case-insensitive (§3.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entries:
    """What GETMETADATA and LIST's METADATA ask for. `depth` is 0, 1, or None for infinity; `most` octets a value."""

    names: tuple[str, ...]
    depth: int | None = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class GetMetadataArgs:
    """`mailbox` is empty for the server."""

    mailbox: str
    entries: Entries


@dataclass(frozen=True, slots=True)
class SetMetadataArgs:
    """None removes an entry."""

    mailbox: str
    entries: tuple[tuple[str, bytes | None], ...]
