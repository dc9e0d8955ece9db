"""What an S3 server's refusal, or its silence, says about a request: certain, or not (STORE.md rule 4).

obstore tells most of it only in an error's text, so that is read here and nowhere else; tests pin it.
"""

from __future__ import annotations

import re
from typing import Final

from obstore.exceptions import (
    AlreadyExistsError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from mailpod.store.objects import AlreadyExists, Ambiguous, StorageError

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_NOT_CONNECTED: Final = "kind: Connect,"  # in the debug form of object_store's HttpError: nothing was sent
_UNCERTAIN_4XX: Final = (408, 409)
_EXPIRED: Final = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")  # S3 says 400, not 403
_SKEWED: Final = "RequestTimeTooSkewed"  # 403: this machine's clock is more than 15 minutes off


def status(error: Exception) -> int | None:
    """The HTTP status of the answer, or None where none came."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def code(error: Exception) -> str:
    """S3's error code, such as NoSuchKey; "HEAD" for the answer to a HEAD, which has none; "" where none came."""
    text = str(error)
    found = _CODE.search(text)
    if found:
        return found[1]
    return "HEAD" if "performing HEAD" in text else ""


def brief(error: Exception) -> str:
    """One line for a log, without the server's own text, which may repeat the access key."""
    first = str(error).partition("\n")[0].partition(": <")[0]
    return f"{first} {code(error)}".rstrip()


def may_pass(error: Exception) -> bool:
    """Whether a read may succeed when it is tried again. A wrong clock may: time services step it."""
    number = status(error)
    passing = number is None or number >= 500 or number in (408, 429) or code(error) == _SKEWED
    return passing and not isinstance(error, ValueError)


def refused(error: Exception) -> bool:
    """Whether other credentials could help; a write that is answered so was certainly not done."""
    if code(error) == _SKEWED:
        return False
    return isinstance(error, PermissionDeniedError | UnauthenticatedError) or code(error) in _EXPIRED


def write_error(key: str, error: Exception) -> Exception:
    """AlreadyExists, StorageError (certainly not written) or Ambiguous, for a failed write that was sent once."""
    number = status(error)
    if number != 409 and isinstance(error, AlreadyExistsError | PreconditionError | NotModifiedError):
        return AlreadyExists(key)
    if number is None:
        certain = _NOT_CONNECTED in str(error)
    else:
        certain = number not in _UNCERTAIN_4XX and (number < 500 or number == 501 or code(error) == "SlowDown")
    return (StorageError if certain else Ambiguous)(brief(error))
