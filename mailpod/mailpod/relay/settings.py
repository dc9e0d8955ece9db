"""Limits and schedule of delivery to other domains; mailpod.config holds them as `outbound`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SmarthostSettings(BaseModel):
    """The server that all mail to other domains is handed to, instead of the recipients' own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(587, gt=0, le=65535)
    tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="`none` is for a host of this machine, or a network that nobody else is on"
    )
    verify: bool = Field(True, description="its certificate is of an authority that is trusted here, for `host`")
    credentials: Path | None = Field(
        None, description="folder with files `username` and `password`, read at each connection: a mounted Secret"
    )


class OutboundSettings(BaseModel):
    """`outbound` in the pod's settings. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(25, gt=0, le=65535, description="of other domains' servers")
    smarthost: SmarthostSettings | None = None

    retry_first: float = Field(
        300, gt=0, description="wait after the first attempt; it doubles, give or take a quarter"
    )
    retry_longest: float = Field(4 * 3600, gt=0, description="longest wait between two attempts")
    expiry: float = Field(5 * 86400, gt=0, description="after which the sender is told that it failed")
    delay_notice: float = Field(4 * 3600, gt=0, description="after which the sender is told that it waits")

    claim_seconds: float = Field(2400, gt=0, description="after which another pod takes an attempt over; STORE.md 19")
    dot_within: float = Field(900, gt=0, description="of the claim: no later is the final dot sent; STORE.md 19")

    connections: int = Field(100, gt=0, description="open or opening, of a pod")
    connections_per_destination: int = Field(20, gt=0)
    waiting: int = Field(500, ge=0, description="messages that wait in memory for their first attempt")
    messages_per_connection: int = Field(100, gt=0)
    idle_seconds: float = Field(3, gt=0, description="how long a connection waits for another message")
    connection_seconds: float = Field(300, gt=0, description="after which no further message begins on a connection")
    most_addresses: int = Field(10, gt=0, description="of a destination that one attempt tries")
    backoff_first: float = Field(
        60, gt=0, description="how long a destination without a reachable server is left alone; it doubles"
    )
    backoff_longest: float = Field(1800, gt=0)

    connect_timeout: float = Field(30, gt=0)
    # RFC 5321 §4.5.3.2
    greeting_timeout: float = Field(300, gt=0)
    command_timeout: float = Field(300, gt=0, description="EHLO, STARTTLS, AUTH, MAIL, RCPT")
    data_timeout: float = Field(120, gt=0, description="until 354")
    block_timeout: float = Field(180, gt=0, description="that passes without a byte of the message taken")
    dot_timeout: float = Field(600, gt=0, description="until the answer to the final dot; STORE.md 19")
    quit_timeout: float = Field(5, gt=0)
