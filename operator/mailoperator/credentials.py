"""Credentials of a bucket: from a Secret, and as the file that pods and the store read. Never logged, never shown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field, replace
from typing import Final

_PODS: Final = ("podAccessKeyID", "podSecretAccessKey", "podSessionToken")
_NAMES: Final = (  # keys of a Secret: ours, and as AWS's variables are called
    ("accessKeyID", "secretAccessKey", "sessionToken"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)
FILE_KEY: Final = "credentials"
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an S3 server."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    pods: Credentials | None = field(default=None, repr=False)
    """The mail pods' own, which may less (OPERATOR.md rule 33); None: the same."""

    @property
    def digest(self) -> str:
        """Changes with them, and tells nothing of them."""
        text = "\0".join((self.access_key_id, self.secret_access_key, self.session_token))
        return hashlib.sha256(f"{text}\0{self.pods.digest if self.pods else ''}".encode()).hexdigest()

    def file(self) -> str:
        """AWS's shared credentials file."""
        lines = [
            "[default]",
            f"aws_access_key_id = {self.access_key_id}",
            f"aws_secret_access_key = {self.secret_access_key}",
        ]
        if self.session_token:
            lines.append(f"aws_session_token = {self.session_token}")
        return "\n".join(lines) + "\n"


def parse_credentials(values: Mapping[str, bytes]) -> Credentials:
    """From a Secret's decoded values. Raises ValueError, which names keys and quotes nothing."""
    found = _operators(values)
    given = [values.get(name, b"") for name in _PODS]
    if not any(given):
        return found
    if not all(given[:2]):
        raise ValueError(f"{_PODS[0]} and {_PODS[1]} go together")
    return replace(found, pods=_checked(*given))


def _operators(values: Mapping[str, bytes]) -> Credentials:
    for access, secret, token in _NAMES:
        if access in values and secret in values:
            return _checked(*(values.get(name, b"") for name in (access, secret, token)))
    if FILE_KEY in values:
        return _from_file(values[FILE_KEY])
    raise ValueError("it needs the keys accessKeyID and secretAccessKey")


def _from_file(data: bytes) -> Credentials:
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(data.decode())
        profile = parser["default"]
        found = [profile["aws_access_key_id"], profile["aws_secret_access_key"], profile.get("aws_session_token", "")]
    except Exception:  # configparser's messages quote the lines
        raise ValueError(f"its key {FILE_KEY} is not AWS's shared credentials file with a [default]") from None
    return _checked(*(text.encode() for text in found))


def _checked(access: bytes, secret: bytes, token: bytes) -> Credentials:
    found = [part.strip().decode("ascii", "replace") for part in (access, secret, token)]
    if not all(_PLAIN.fullmatch(part) for part in (*found[:2], found[2] or "-")):
        raise ValueError("a credential is empty, or holds what is not printable ASCII")
    return Credentials(found[0], found[1], found[2])
