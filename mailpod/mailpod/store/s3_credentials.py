"""Credentials from a mounted file, as AWS's tools write it; without one obstore takes the AWS_* variables."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from obstore.store import S3Config

_PROFILE: Final = "default"


def read_credentials(path: Path | None) -> S3Config:
    """The `[default]` profile of a shared credentials file. Raises OSError, ValueError (which names no secret)."""
    if path is None:
        return {}
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text())
        profile = parser[_PROFILE]
        found: S3Config = {
            "access_key_id": profile["aws_access_key_id"],
            "secret_access_key": profile["aws_secret_access_key"],
        }
    except OSError:
        raise
    except Exception:
        raise ValueError(
            f"{path}: not a credentials file: it needs [default], aws_access_key_id and aws_secret_access_key"
        ) from None
    if "aws_session_token" in profile:
        found["session_token"] = profile["aws_session_token"]
    return found
