"""Limits of the checks of senders; mailpod.config holds them as `authres`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork


class AuthresSettings(BaseModel):
    """`authres` in the pod's settings. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="check who sent what comes in; needs the clients' own addresses")
    unchecked_networks: list[IPvAnyNetwork] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1/128"],
        validate_default=True,
        description="clients whose mail is not checked: this machine, and whatever hands over mail of others",
    )
    timeout: float = Field(10, gt=0, description="for all checks of a message together; what is open then is temperror")
    max_signatures: int = Field(8, gt=0, description="DKIM signatures that are looked at, from the top")
    min_rsa_bits: int = Field(1024, ge=1024, description="of a DKIM key; RFC 8301 §3.2")
    max_rsa_bits: int = Field(4096, ge=2048, description="of a DKIM key: what verifying may cost")
    report: bool = Field(
        True, description="send domains that ask for it a daily report of mail in their name (RFC 9990)"
    )
    report_seconds: float = Field(3600, gt=0, description="between two writes of what was counted for reports")
    report_rows: int = Field(2000, gt=0, description="kinds of messages that are counted between two writes, or told")
    max_authors: int = Field(5, gt=0, description="domains in From; a message with more of them is junk")
