"""MTA-STS's two texts as values (RFC 8461 §3.1, §3.2): no I/O, and nothing but ValueError for a bad one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from mailpod.tlspolicy.names import fits

Mode: TypeAlias = Literal["enforce", "testing", "none"]

MODES: Final = frozenset({"enforce", "testing", "none"})
_MOST_HOSTS: Final = 1000
_VERSION: Final = "v=STSv1"
_DELIMITER: Final = re.compile(r"[ \t]*;[ \t]*")
_FIELD: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)")
_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_LINE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*?)[ \t]*")
_AGE: Final = re.compile(r"[0-9]{1,10}")
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\.?")


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """What a domain asks of those who send to it. `max_age` in seconds, `mx` as patterns in lower case."""

    mode: Mode
    max_age: int
    mx: tuple[str, ...] = ()

    def names(self, host: str) -> bool:
        """RFC 8461 §4.1."""
        return any(fits(pattern, host) for pattern in self.mx)

    def lines(self) -> tuple[str, ...]:
        """Its text, line by line, for reports."""
        hosts = (f"mx: {pattern}" for pattern in self.mx)
        return ("version: STSv1", f"mode: {self.mode}", *hosts, f"max_age: {self.max_age}")


def parse_record(records: Iterable[bytes]) -> str | None:
    """The `id` among the TXT records of `_mta-sts.<domain>`; None: the domain announces nothing."""
    # RFC 8461 §3.1: what does not begin so is discarded; the rest must be one, and be sound
    found = [record for record in records if re.match(rb"v=STSv1[ \t]*;", record)]
    if len(found) != 1:
        return None
    try:
        fields = _DELIMITER.split(found[0].decode("ascii").rstrip(" \t"))
    except UnicodeDecodeError:
        return None
    if fields[-1] == "":
        fields.pop()
    pairs = [_FIELD.fullmatch(text) for text in fields[1:]]
    if fields[0] != _VERSION or not all(pairs):
        return None
    ids = [pair[2] for pair in pairs if pair and pair[1] == "id"]
    return ids[0] if len(ids) == 1 and _ID.fullmatch(ids[0]) else None


def parse_policy(text: bytes) -> StsPolicy:
    """The body of `/.well-known/mta-sts.txt`. Raises ValueError, whose text says what is wrong."""
    try:
        lines = re.split(r"\r?\n", text.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("the policy is not UTF-8") from None
    fields: dict[str, str] = {}
    hosts: list[str] = []
    for line in lines:
        if not line.strip(" \t"):
            continue
        field = _LINE.fullmatch(line)
        if field is None:
            raise ValueError("the policy has a line that is no `key: value`")
        if field[1] == "mx":
            hosts.append(_host(field[2]))
        else:
            fields.setdefault(field[1], field[2])  # RFC 8461 §3.2: of a repeated key the first counts
    return _policy(fields, hosts)


def _policy(fields: dict[str, str], hosts: list[str]) -> StsPolicy:
    if fields.get("version") != "STSv1":
        raise ValueError("the policy's version is not STSv1")
    mode, age = fields.get("mode", ""), fields.get("max_age", "")
    if mode not in MODES:
        raise ValueError("the policy's mode is none of enforce, testing and none")
    if not _AGE.fullmatch(age):
        raise ValueError("the policy's max_age is no number")
    if mode != "none" and not hosts:  # RFC 8461 §3.2
        raise ValueError("the policy names no mail server")
    if len(hosts) > _MOST_HOSTS:
        raise ValueError("the policy names too many mail servers")
    return StsPolicy(cast(Mode, mode), int(age), tuple(hosts))


def _host(text: str) -> str:
    if not _HOST.fullmatch(text) or len(text) > 255:
        raise ValueError("the policy has an mx that is no host name")
    return text.lower().rstrip(".")
