"""Logging in at a smarthost: AUTH PLAIN or LOGIN; no I/O but the credentials' files."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str = field(repr=False)


class NoMechanism(Exception):
    """The server offers neither PLAIN nor LOGIN."""


async def read_credentials(folder: Path) -> Credentials:
    """Read again at each connection: a Secret may change. Raises OSError, UnicodeDecodeError."""
    name, password = await asyncio.gather(
        *(asyncio.to_thread((folder / file).read_text, "utf-8") for file in ("username", "password"))
    )
    return Credentials(name.rstrip("\r\n"), password.rstrip("\r\n"))


def exchange(credentials: Credentials, offered: frozenset[str]) -> Iterator[bytes]:
    """The lines to send, one after each 334 (RFC 4954 §4). Raises NoMechanism."""
    name, password = credentials.username.encode(), credentials.password.encode()
    if "PLAIN" in offered:  # RFC 4616 §2
        return iter([b"AUTH PLAIN " + b64encode(b"\0" + name + b"\0" + password) + b"\r\n"])
    if "LOGIN" in offered:
        return iter([b"AUTH LOGIN\r\n", b64encode(name) + b"\r\n", b64encode(password) + b"\r\n"])
    raise NoMechanism
