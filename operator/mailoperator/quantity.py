"""Kubernetes quantities (apimachinery's resource.Quantity): of bytes, `5Gi`, `500M`, `1024`, and any other, `500m`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

_PATTERN: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([KMGTP]i|[kMGTP])?")
_UNITS: Final[dict[str, int]] = {"": 1, "k": 10**3} | {
    unit: factor
    for power, letter in enumerate("KMGTP", start=1)
    for unit, factor in ((f"{letter}i", 1024**power), (letter, 1000**power))
    if unit != "K"
}
MAX_BYTES: Final = 2**63 - 1


def parse_quantity(value: object) -> int:
    """Bytes; a fraction of a byte is rounded up, as Kubernetes does. Raises ValueError with an example that works."""
    written = str(value)
    match = _PATTERN.fullmatch(written) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if match is None:
        raise ValueError(f'"{written}" is not a quantity (try 5Gi)')
    size = Decimal(match[1]) * _UNITS[match[2] or ""]
    whole = int(size) + (size != int(size))
    if whole > MAX_BYTES:
        raise ValueError(f'"{written}" is larger than can be counted')
    return whole


def format_bytes(size: int) -> str:
    """A size for people, still a quantity: `812`, `64Ki`, `1.4Gi`. Rounded up to a tenth, or from 100 on to one."""
    for unit, factor in reversed([("", 1), *((f"{letter}i", 1024**power) for power, letter in enumerate("KMGTP", 1))]):
        if size >= factor and unit:
            tenths = -(-size * 10 // factor) if size < 100 * factor else -(-size // factor) * 10
            return f"{tenths // 10}{f'.{tenths % 10}' if tenths % 10 else ''}{unit}"
    return str(size)


def _int_or_string(pattern: str, **more: Any) -> WithJsonSchema:
    """What the API server knows of a quantity: a number, or text that matches."""
    return WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": pattern,
            "maxLength": 32,
            **more,
        }
    )


_SUFFIX: Final = "([KMGTP]i|[kMGTP])?$"
# as parse_quantity reads it, and with a digit that is not 0
_POSITIVE: Final = rf"^(0{{0,9}}[1-9][0-9]{{0,8}}(\.[0-9]{{1,9}})?|0{{1,9}}\.[0-9]{{0,8}}[1-9][0-9]{{0,8}}){_SUFFIX}"
_BYTES: Final = rf"^[0-9]{{1,18}}(\.[0-9]{{1,9}})?{_SUFFIX}"
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?([KMGTPE]i|[numkMGTPE])?")


def _amount(value: object) -> str:
    written = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not _AMOUNT.fullmatch(written):
        raise ValueError(f'"{written}" is not a quantity (try 500m or 512Mi)')
    return written


def _used(value: object) -> str:
    return format_bytes(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


Bytes: TypeAlias = Annotated[
    int, BeforeValidator(parse_quantity), Field(gt=0), _int_or_string(_POSITIVE, minimum=1, maximum=2**62)
]
"""A size that is not 0, as bytes."""

Amount: TypeAlias = Annotated[str, BeforeValidator(_amount), _int_or_string(f"^{_AMOUNT.pattern}$", minimum=0)]
"""Of CPU, memory or another resource, as written."""

Used: TypeAlias = Annotated[str, BeforeValidator(_used), _int_or_string(_BYTES, minimum=0)]
"""Bytes in a status: a number is given for people (format_bytes), a quantity stays as it is."""
