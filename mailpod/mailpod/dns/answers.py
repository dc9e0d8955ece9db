"""What a look-up in the DNS gives. "Not there" and "cannot tell" are never the same thing.

`authentic` is DNSSEC's: the resolver validated the whole answer, aliases included. It is only ever true where the
settings say that the resolver's word is to be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T", covariant=True)


class DnsError(Exception):
    """Base. The text is for logs and notices; it names the question."""


class Missing(DnsError):
    """There is no such record, and the DNS says so. `authentic` as in Answer."""

    def __init__(self, text: str, *, authentic: bool = False) -> None:
        super().__init__(text)
        self.authentic = authentic


class NoSuchName(Missing):
    """NXDOMAIN: nothing at all has this name."""


class NoData(Missing):
    """The name exists, and has no record of the type."""


class LookupFailed(DnsError):
    """No answer, or a server's failure (a bogus signature too): it may be answered later."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """At least one record."""

    records: tuple[T, ...]
    authentic: bool = False
    ttl: float = 0.0  # seconds
    canonical: str = ""  # the name that the records are at, after CNAMEs; without the final dot


class Mx(NamedTuple):
    """RFC 5321 §5.1. `host` is "" in a null MX (RFC 7505)."""

    preference: int
    host: str


class Tlsa(NamedTuple):
    """RFC 6698 §2.1."""

    usage: int
    selector: int
    matching: int
    data: bytes


MxAnswer: TypeAlias = Answer[Mx]
