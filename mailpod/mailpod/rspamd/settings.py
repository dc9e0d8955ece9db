"""Where rspamd is; mailpod.config holds this as `rspamd`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RspamdSettings(BaseModel):
    """`rspamd` in the pod's settings. Times are seconds, sizes octets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(
        None, pattern=r"^https?://[^/?#@\s]+/?$", description="its normal worker: http://rspamd:11333; none: not asked"
    )
    timeout: float = Field(30, gt=0, description="for an answer")
    on_failure: Literal["accept", "defer"] = Field(
        "accept", description="without an answer: take the message unfiltered, or 451"
    )
    max_bytes: int = Field(20 * 2**20, gt=0, description="larger messages are taken unfiltered")
    learn_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+/?$",
        description="its controller: http://rspamd:11334; none: what users move into Junk, and out, is not taught",
    )
    learn_tries: int = Field(3, gt=0, description="of a message; then it is forgotten")
    learn_retry_seconds: float = Field(60, gt=0, description="before the second try; it doubles with every further one")
    learn_waiting: int = Field(1000, gt=0, description="messages that may wait to be taught; more are not")
    max_answer_bytes: int = Field(2**20, gt=0, description="of an answer; more is no answer")
