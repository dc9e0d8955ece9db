"""How retention goes about its work; mailpod.config holds this as `retention`. What it deletes, Mailboxes say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RetentionSettings(BaseModel):
    """`retention` in the pod's settings. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    look_seconds: float = Field(900, gt=0, description="how often a pod looks for domains whose round of today is due")
    claim_seconds: float = Field(
        3600, gt=0, description="a domain's round that was begun longer ago, and not ended, is another pod's"
    )
    batch_messages: int = Field(1000, gt=0, description="messages deleted in one commit")
    mailbox_messages: int = Field(100_000, gt=0, description="messages deleted of one mailbox a day; then the next")
    patience: float = Field(10.0, gt=0, description="each batch waits so long for clients to rest")
