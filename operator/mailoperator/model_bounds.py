"""A status made to fit its schema: lists cut, texts clipped. What another program says never makes a status invalid."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from mailoperator.crdschema import structural
from mailoperator.model_base import Model
from mailoperator.model_status import PLAIN, PRINTABLE, MailboxStatus, MailDomainStatus, clipped
from mailoperator.quantity import format_bytes

_STATUS: Final[dict[str, type[Model]]] = {"MailDomain": MailDomainStatus, "Mailbox": MailboxStatus}


def bounded(kind: str, status: dict[str, Any]) -> dict[str, Any]:
    """The status of a MailDomain or Mailbox within the schema's bounds, below 32 KiB then; the same once more changes
    nothing. Numbers of bytes become quantities. A field that the schema does not have stays, for the API server to
    refuse."""
    fitted: dict[str, Any] = _fitted(status, _schema(kind))
    return fitted


@cache
def _schema(kind: str) -> dict[str, Any]:
    return structural(_STATUS[kind], defaults=False)


def _fitted(value: Any, schema: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        return {name: _fitted(part, parts.get(name, {})) for name, part in value.items()}
    if isinstance(value, list):
        return [_fitted(item, schema.get("items", {})) for item in value[: schema.get("maxItems")]]
    if isinstance(value, int) and schema.get("x-kubernetes-int-or-string"):
        return format_bytes(value)
    if isinstance(value, str) and "maxLength" in schema:
        return _clipped(value, schema["maxLength"], schema.get("pattern"))
    return value


def _clipped(text: str, length: int, pattern: str | None) -> str:
    if pattern in (PRINTABLE, PLAIN):
        return clipped(text, length, plain=pattern == PLAIN)
    return text[:length]
