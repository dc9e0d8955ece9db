"""When users are told that their mailbox is nearly full; mailpod.config holds this as `quota`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[int, Field(ge=1, le=100)]


class QuotaSettings(BaseModel):
    """`quota` in the pod's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warn_percent: list[Percent] = Field([80, 95], description="of the quota: thresholds warned of by mail; []: of none")
    margin_percent: int = Field(
        5, ge=1, le=50, description="a threshold is warned of again once so much less than it was held"
    )
