"""rspamd's HTTP interface, /checkv2 (rspamd.com, "Protocol"): requests' headers and answers as values. No I/O.

Fields that rspamd wants added are written anew here: nothing in an answer can forge a second field or end the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

Action: TypeAlias = Literal["accept", "junk", "defer", "reject"]

_ACTIONS: Final[dict[str, Action]] = {
    "no action": "accept",
    "add header": "junk",
    "rewrite subject": "junk",
    "quarantine": "junk",
    "greylist": "defer",
    "soft reject": "defer",
    "reject": "reject",
    "discard": "reject",  # nothing vanishes without a word
}
_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")
_MOST_FIELDS: Final = 50
_MOST_VALUE: Final = 900  # octets; a line may have 998 (RFC 5322 §2.1.1)


class BadAnswer(ValueError):
    """Not an answer of rspamd."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What to do with the message; `message` is for the client, "" where rspamd has none."""

    action: Action
    score: float
    fields: bytes
    message: str = ""


class _Answer(msgspec.Struct):
    action: str
    score: float = 0.0
    milter: dict[str, Any] = {}
    messages: dict[str, Any] = {}


def request_headers(
    *, client: str, helo: str, sender: str, recipients: Sequence[str], queue_id: str, server: str
) -> list[tuple[str, str]]:
    """What rspamd is told besides the message."""
    found = [("IP", client), ("Helo", helo), ("From", sender), ("Queue-Id", queue_id), ("MTA-Name", server)]
    found += [("Rcpt", recipient) for recipient in recipients]
    return [(name, _plain(value)) for name, value in found if value]


def parse_answer(data: bytes) -> Opinion:
    """Raises BadAnswer."""
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadAnswer(str(error)) from None
    action = _ACTIONS.get(answer.action)
    if action is None:
        raise BadAnswer("an action that is not known")
    said = answer.messages.get("smtp_message")
    added = answer.milter.get("add_headers")
    fields = b"".join(_fields(added)) if isinstance(added, dict) else b""
    return Opinion(action, answer.score, fields, _plain(said)[:200] if isinstance(said, str) else "")


def _fields(added: Mapping[str, Any]) -> Iterator[bytes]:
    count = 0
    for name, values in added.items():
        for value in values if isinstance(values, list) else [values]:
            text = value.get("value") if isinstance(value, dict) else value
            if isinstance(text, str) and _NAME.fullmatch(name) and count < _MOST_FIELDS:
                count += 1
                yield f"{name}: {_plain(text)[:_MOST_VALUE]}\r\n".encode("ascii")


def _plain(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text).strip()
