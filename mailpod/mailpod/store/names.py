"""Keys of objects in the bucket: the one place that knows them (FORMAT.md, "Objects").

A key never depends on content that a client chooses without being encoded, and no key is a prefix folder of
another's file: the folder store maps each key to one path.
"""

from __future__ import annotations

from typing import Final

_UNRESERVED: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-._~")
_MAX_SEQUENCE: Final = 10**20 - 1


def encode_local_part(local: str) -> str:
    """A local part (already NFC and lower case) as one path segment: RFC 3986 unreserved bytes stay, others are %XX.

    `.` and `..` are encoded too, since a folder cannot hold them.
    """
    raw = local.encode()
    if raw in (b".", b".."):
        return "%2E" * len(raw)
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in raw)


def account_prefix(domain: str, local: str, incarnation: str) -> str:
    """`accounts/<domain>/<local part>/<incarnation>/`; domain is an A-label in lower case."""
    return f"accounts/{domain}/{encode_local_part(local)}/{incarnation}/"


def log_key(prefix: str, sequence: int) -> str:
    return f"{prefix}log/{sequence:020d}"


def checkpoint_key(prefix: str, sequence: int) -> str:
    """The newest checkpoint sorts first."""
    return f"{prefix}checkpoint/{_MAX_SEQUENCE - sequence:020d}"


def checkpoint_sequence(key: str) -> int:
    return _MAX_SEQUENCE - int(key.rsplit("/", 1)[1])


def directory_prefix(domain: str) -> str:
    return f"directory/{domain}/"


def address_key(domain: str, local: str) -> str:
    return f"directory/{domain}/{encode_local_part(local)}/address"


def incarnation_prefix(domain: str, local: str) -> str:
    return f"directory/{domain}/{encode_local_part(local)}/incarnation/"


def incarnation_key(domain: str, local: str, number: int) -> str:
    return f"{incarnation_prefix(domain, local)}{number:010d}"


def purge_prefix(domain: str, local: str) -> str:
    return f"directory/{domain}/{encode_local_part(local)}/purge/"


def purge_key(domain: str, local: str, number: int) -> str:
    """The record of incarnation `number`'s purge; it is there from before its close until it is erased."""
    return f"{purge_prefix(domain, local)}{number:010d}"


def domain_key(domain: str) -> str:
    """`!` cannot occur in an encoded local part, so a mailbox called `domain` does not collide with it."""
    return f"directory/{domain}/!domain"


def owner_key(domain: str) -> str:
    return f"directory/{domain}/!owner"


def outbound_prefix(entry: str = "") -> str:
    return f"outbound/{entry}/" if entry else "outbound/"
