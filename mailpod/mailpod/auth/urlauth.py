"""URLs that carry their own authorization (RFC 4467, RFC 5092 §6.1): what they say of it, and their tokens. No I/O.

- A token is of every octet before it: whom a URL is for and until when cannot be changed.
- What this version does not know for whom it is, or how it is authorized, is for nobody.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from mailpod.addresses import normalize

MECHANISM: Final = "INTERNAL"
_LONGEST: Final = 8192
_VERSION: Final = b"01"  # RFC 4467 §2.4.1: tokens of another algorithm would begin with another
_KEY_OCTETS: Final = 20
_USER: Final = r"(?:[A-Za-z0-9\-._~!$'()*+,&=@]|%[0-9A-Fa-f]{2})+"  # RFC 5092 §11 enc-user, and imaptest's @
_END: Final = re.compile(
    rf"(?:;EXPIRE=(?P<expires>[0-9TZ:+.\-]+))?"
    rf";URLAUTH=(?:(?P<entity>submit|user)\+(?P<user>{_USER})|(?P<everybody>authuser|anonymous))"
    r"(?::(?P<mechanism>[A-Za-z0-9\-.]+):(?P<token>[0-9A-Fa-f]{32,}))?\Z",
    re.IGNORECASE,
)
_BEGIN: Final = re.compile(r";(?:EXPIRE|URLAUTH)=", re.IGNORECASE)


class BadUrl(ValueError):
    """Not an authorized URL, nor one to be authorized."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """`url` is without it, `signed` what its token is of. `access` is submit, user, authuser or anonymous; `user` is
    what follows the first two. `mechanism` and `token` are empty in a URL that is to be authorized."""

    url: bytes
    signed: bytes
    access: str
    user: str
    expires: float | None
    mechanism: str
    token: bytes

    def permits(self, address: str, now: float, *, submitting: bool = False) -> bool:
        """Whether `address` may have it at `now`, in Unix seconds: by IMAP, or `submitting` a message (RFC 4467 §3).

        Nobody's IMAP session is a submission server's: what is for one is fetched by none.
        """
        if self.expires is not None and now >= self.expires:
            return False
        if self.access == "user" or (self.access == "submit" and submitting):
            return canonical(self.user) == address
        return self.access in ("authuser", "anonymous")


def parse(url: bytes) -> Authorization:
    """Raises BadUrl."""
    text = url.decode("latin-1") if len(url) <= _LONGEST else ""
    begin = _BEGIN.search(text)
    found = _END.match(text, begin.start()) if begin is not None else None
    if found is None:
        raise BadUrl
    signed = text if found["mechanism"] is None else text[: found.start("mechanism") - 1]
    return Authorization(
        url=text[: found.start()].encode("latin-1"),
        signed=signed.encode("latin-1"),
        access=(found["entity"] or found["everybody"]).lower(),
        user=_decoded(found["user"] or ""),
        expires=None if found["expires"] is None else _moment(found["expires"]),
        mechanism=(found["mechanism"] or "").upper(),
        token=(found["token"] or "").lower().encode("ascii"),
    )


def canonical(user: str) -> str | None:
    """The address that a user's name is; None where it is none."""
    try:
        return str(normalize(user))
    except ValueError:
        return None


def new_key() -> bytes:
    """A key that nothing is authorized by."""
    return secrets.token_bytes(_KEY_OCTETS)


def authorized(url: Authorization, key: bytes) -> bytes:
    """The URL with its token (RFC 4467 §5)."""
    return b"%b:%b:%b" % (url.signed, MECHANISM.encode("ascii"), _token(url.signed, key))


def verified(url: Authorization, key: bytes) -> bool:
    """Whether its token was made with `key`. An empty one, of a mailbox that has none or is not there, takes as long
    (RFC 4467 §6)."""
    same = hmac.compare_digest(url.token, _token(url.signed, key or new_key()))
    return same and bool(key) and url.mechanism == MECHANISM


def _token(signed: bytes, key: bytes) -> bytes:
    return _VERSION + hmac.new(key, signed, "sha1").hexdigest().encode("ascii")


def _decoded(user: str) -> str:
    try:
        return unquote_to_bytes(user).decode("utf-8")
    except UnicodeDecodeError:
        raise BadUrl from None


def _moment(written: str) -> float:
    """RFC 3339 §5.6 date-time, in Unix seconds."""
    found = _DATE_TIME.fullmatch(written)
    if found is None:
        raise BadUrl
    date, time, second, zone = found["date"], found["time"], found["second"], found["zone"].upper()
    leap = second.startswith("60")  # RFC 3339 §5.7
    try:
        return datetime.fromisoformat(f"{date}T{time}:{'59' if leap else second}{zone}").timestamp() + leap
    except (ValueError, OverflowError):
        raise BadUrl from None


_DATE_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})T(?P<time>[0-9]{2}:[0-9]{2}):(?P<second>[0-9]{2})(?:\.[0-9]+)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)
