"""Limits of the SMTP listeners. Each has a default that suits a small pod; mailpod.config holds them as `smtp`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SmtpSettings(BaseModel):
    """`smtp` in the pod's settings. Sizes are octets, times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_message_bytes: int = Field(50 * 2**20, gt=0, description="SIZE; a MailDomain may set a lower one")
    max_recipients: int = Field(1000, ge=100, description="of one message; RFC 5321 §4.5.3.1.8 asks for 100")
    max_recipients_per_hour: int = Field(
        2000, gt=0, description="that one user may write to, in each pod; what was not used adds up to one hour's"
    )
    max_client_recipients_per_hour: int | None = Field(
        None, gt=0, description="that one client of the MX port (IPv6: a /64) may write to, in each pod"
    )
    blocklists: list[str] = Field(
        default_factory=list, description="DNS zones; a client of the MX port that is on one of them is refused"
    )
    blocklist_timeout: float = Field(5, gt=0, description="for all of them together; who does not answer lists nobody")
    max_line_bytes: int = Field(2048, ge=512, description="a command with its CRLF; RFC 5321 §4.5.3.1.4 asks for 512")
    max_auth_line_bytes: int = Field(12288, ge=12288, description="a line of an AUTH exchange; RFC 4954 §4")
    max_received: int = Field(50, ge=30, description="Received fields before it is a loop; RFC 5321 §6.3")
    return_days: float = Field(
        14, gt=0, description="how long notices about forwarded mail find back; its domain's old DKIM keys are to last"
    )
    max_errors: int = Field(20, gt=0, description="refused commands before the connection is closed")
    max_refused_recipients: int = Field(100, gt=0, description="unknown recipients before the connection is closed")
    max_idle_commands: int = Field(1000, gt=0, description="commands between two accepted messages")
    command_timeout: float = Field(300, gt=0, description="for one whole command line; RFC 5321 §4.5.3.2.7")
    data_timeout: float = Field(600, gt=0, description="for a message, besides what min_data_rate gives")
    min_data_rate: float = Field(1000, gt=0, description="octets a second under which DATA is cut after data_timeout")
    bare_newlines: Literal["reject", "normalize"] = Field(
        "reject", description="a CR or LF alone, the stuff of SMTP smuggling: refuse the message, or make it CRLF"
    )
