"""Limits of DNS look-ups; mailpod.config holds them as `dns`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class DnsSettings(BaseModel):
    """`dns` in the pod's settings. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resolver: str | None = Field(None, description="HOST:PORT of the DNS server to ask; the system's without it")
    trusted: bool = Field(
        False,
        description="believe the resolver's word (AD) that an answer is DNSSEC-authentic: it validates, and nobody is "
        "on the way to it",
    )
    timeout: float = Field(10, gt=0, description="of one look-up, its retries included")
    parallel: int = Field(100, gt=0, description="look-ups at once; others wait")
    cache_entries: int = Field(20_000, gt=0, description="answers remembered")
    cache_longest: float = Field(3600, gt=0, description="longest time that an answer is remembered, whatever its TTL")
    cache_missing: float = Field(60, ge=0, description="longest time that an absence is remembered")

    @field_validator("resolver")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            host, _, port = value.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError("a resolver is HOST:PORT")
        return value
