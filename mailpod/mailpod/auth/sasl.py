"""SASL mechanisms as values: bytes of a client's response in, a challenge or credentials out. No I/O, no base64.

A mechanism never decides whether a password is right, nor remembers it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

MECHANISMS: Final = ("PLAIN", "LOGIN")
"""What may be offered, only where a password may be sent (TLS, or the same address)."""
_LONGEST: Final = 1024  # octets of one name or password


class SaslError(Exception):
    """The client's response is not what the mechanism says; BAD or 501, and the exchange is over."""


class OtherUser(SaslError):
    """The client wants to act for another user."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this, and give the answer to `next`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """The exchange is complete; `authzid` is empty or names the same user."""

    authzid: str
    username: str
    password: str = field(repr=False)


class Exchange(Protocol):
    """One authentication. `start` once, then `next` until Credentials come."""

    mechanism: str

    def start(self, initial: bytes | None) -> Challenge | Credentials:
        """`initial` is the initial response: None without one, empty for `=`. Raises SaslError."""

    def next(self, response: bytes) -> Challenge | Credentials:
        """The client's answer to the last challenge. Raises SaslError."""


def begin(mechanism: str) -> Exchange:
    """The exchange of a mechanism, by its name in any case. Raises SaslError for one that is not offered."""
    name = mechanism.upper()
    if name == "PLAIN":
        return Plain()
    if name == "LOGIN":
        return Login()
    raise SaslError("mechanism is not supported")


class Plain:
    """RFC 4616: authzid NUL authcid NUL password, UTF-8."""

    mechanism = "PLAIN"

    def start(self, initial: bytes | None) -> Challenge | Credentials:
        return Challenge(b"") if initial is None else self.next(initial)

    def next(self, response: bytes) -> Challenge | Credentials:
        pieces = response.split(b"\0")
        if len(pieces) != 3:
            raise SaslError("PLAIN needs two NULs")
        authzid, username, password = _text(pieces[0]), _text(pieces[1]), _text(pieces[2])
        if not username or not password:
            raise SaslError("PLAIN needs a name and a password")  # RFC 4616 §2: authcid and passwd are 1*SAFE
        # RFC 4616 §2: acting for another user needs a permission that nobody has here.
        if authzid and authzid.casefold() != username.casefold():
            raise OtherUser("authorization identity must be empty or the user's own")
        return Credentials(authzid, username, password)


class Login:
    """draft-murchison-sasl-login: the name, then the password. Old Outlook and swaks ask for it."""

    mechanism = "LOGIN"

    def __init__(self) -> None:
        self._username: str | None = None

    def start(self, initial: bytes | None) -> Challenge | Credentials:
        return Challenge(b"Username:") if not initial else self.next(initial)

    def next(self, response: bytes) -> Challenge | Credentials:
        if self._username is None:
            self._username = _text(response)
            return Challenge(b"Password:")
        password = _text(response)
        if not self._username or not password:
            raise SaslError("LOGIN needs a name and a password")
        return Credentials("", self._username, password)


def _text(raw: bytes) -> str:
    if len(raw) > _LONGEST or b"\0" in raw:
        raise SaslError("response is too long, or has a NUL")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise SaslError("response is not UTF-8") from None
