"""An HTTP answer as bytes. Nothing is cached: what is told here may change with the next manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send; `fields` beside the usual ones."""

    status: HTTPStatus
    body: bytes = b""
    kind: str = TEXT
    fields: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, *, head: bool, keep: bool) -> bytes:
        """`head`: HEAD was asked, so without the body. `keep`: the connection stays open."""
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.kind}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            f"Connection: {'keep-alive' if keep else 'close'}",
            *(f"{name}: {value}" for name, value in self.fields.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if head else self.body)


NOT_FOUND: Final = Answer(HTTPStatus.NOT_FOUND, b"not found\n")
ONLY_GET: Final = Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"GET or HEAD\n", fields={"Allow": "GET, HEAD"})
