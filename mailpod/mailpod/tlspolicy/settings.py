"""Limits of transport security; mailpod.config holds them as `tls_policy`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class TlsPolicySettings(BaseModel):
    """`tls_policy` in the pod's settings. Times are seconds, sizes octets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mta_sts: bool = Field(True, description="obey what domains announce by MTA-STS (RFC 8461)")
    dane: bool = Field(True, description="obey TLSA records (RFC 7672), where the resolver is trusted (`dns.trusted`)")
    ca_file: Path | None = Field(None, description="PEM of the authorities that servers may be of; else the system's")
    fetch_seconds: float = Field(20, gt=0, description="for the HTTPS request of a policy; RFC 8461 §3.3 asks for 60")
    fetch_bytes: int = Field(64 * 1024, gt=0, description="the longest policy; RFC 8461 §3.3 suggests 64 KiB")
    fetch_parallel: int = Field(20, gt=0, description="HTTPS requests at once; others wait")
    fetch_again_seconds: float = Field(300, gt=0, description="after a failed request, before another to that domain")
    refresh_seconds: float = Field(86400, gt=0, description="age at which a policy is fetched again; RFC 8461 §3.3")
    longest_age: float = Field(31557600, gt=0, description="the most that max_age may say; RFC 8461 §3.2 has a year")
    report: bool = Field(True, description="send domains that ask for it a daily report of TLS with them (RFC 8460)")
    report_seconds: float = Field(3600, gt=0, description="between two writes of what was counted for reports")
    report_policies: int = Field(10_000, gt=0, description="policies that are counted between two writes")
    cache_entries: int = Field(10_000, gt=0, description="domains whose policy is remembered")
