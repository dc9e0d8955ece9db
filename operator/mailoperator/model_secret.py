"""The part of a Kubernetes Secret that Mailpod reads."""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar, Literal

from pydantic import Field

from mailoperator.model_base import Object


class Secret(Object):
    """A Kubernetes Secret. Its values appear in no error and no representation."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    type: str = "Opaque"
    immutable: bool = False
    data: dict[str, str] = Field(default={}, repr=False)
    string_data: dict[str, str] = Field(default={}, repr=False)

    VERIFIER: ClassVar[str] = "verifier"

    def value(self, key: str) -> str | None:
        """What `key` holds; None if it is not there. Raises ValueError where it is not base64 of text."""
        if key in self.string_data:  # the API server's precedence
            return self.string_data[key]
        if key not in self.data:
            return None
        try:
            return base64.b64decode(self.data[key], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError(f"data.{key} of {self.title} is not the base64 of a text (or use stringData)") from None
