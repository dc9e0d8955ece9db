"""What became of one recipient of a queued message, as results in the bucket keep it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Action: TypeAlias = Literal["delivered", "relayed", "passed", "failed", "delayed"]
_EARLIER: Final = "delivered"  # version 1: this word, or a status and a reason


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """`delivered` into a mailbox here; `relayed` to a server that does not report on its own; `passed` on to one that
    does (RFC 3461); `failed` for good; `delayed`: not yet, and to be tried again. All but `delayed` are final."""

    action: Action
    status: str = ""  # RFC 3463, also where the server said none
    text: str = ""  # what the server said, with its code, or what we found out
    host: str = ""  # the other server; "" where it is ours, or none was reached
    said: bool = False  # whether `text` is the other server's reply
    at: float = 0.0  # of the attempt: Unix seconds by the pod's clock, for people

    @property
    def final(self) -> bool:
        return self.action != "delayed"


def decode(data: bytes) -> dict[str, Outcome]:
    """A result, of this version or the first. Raises msgspec.MsgspecError."""
    found = msgspec.json.decode(data, type=dict[str, str | Outcome])
    return {recipient: _earlier(value) if isinstance(value, str) else value for recipient, value in found.items()}


def _earlier(word: str) -> Outcome:
    status, _, text = word.partition(" ")
    return Outcome("delivered") if word == _EARLIER else Outcome("failed", status, text)
