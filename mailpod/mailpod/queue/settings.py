"""Limits of the queue; mailpod.config holds them as `queue`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class QueueSettings(BaseModel):
    """`queue` in the pod's settings. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sweep_seconds: float = Field(180, gt=0, description="between two full looks at the queue, give or take a half")
    takeover_seconds: float = Field(
        10, gt=0, description="how long an unclaimed entry is watched before it is taken over"
    )
    claim_seconds: float = Field(
        60,
        gt=0,
        description="how long another pod's claim on an entry of local mailboxes is respected; delivery ids make a "
        "second hand-out harmless there (outward delivery has STORE.md rule 19's 40 minutes)",
    )
    lifetime_seconds: float = Field(7 * 86400, gt=0, description="after which an entry is not handed out; STORE.md 17")
    retry_first: float = Field(5, gt=0, description="wait after the first failed hand-out; it doubles")
    retry_longest: float = Field(1800, gt=0, description="longest wait between two hand-outs")
    finish_seconds: float = Field(
        2, gt=0, description="that attempts elsewhere still have when the pod ends, before the end of a message is sent"
    )
    parallel: int = Field(16, gt=0, description="hand-outs at once")
    notice_whole_bytes: int = Field(
        2**20, ge=0, description="the largest message that a failure notice has whole, where the sender asked for that"
    )
