"""Settings of the store. Every time is in seconds, every size in bytes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StoreSettings(BaseModel):
    """Limits and budgets of one pod's store; the defaults suit a pod of 1 GiB."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grace: float = Field(24 * 3600, gt=0, description="GRACE of STORE.md, in bucket time")
    commit_deadline: float = Field(
        15.0, gt=0, description="when a commit without an answer becomes a temporary failure"
    )
    retry_base: float = Field(0.05, gt=0, description="first wait before a write is tried again; doubles, with jitter")
    retry_cap: float = Field(2.0, gt=0, description="longest wait between two tries")
    inline_message_bytes: int = Field(2 << 20, ge=0, description="a larger message goes into a pack of its own")
    scan_inline_bytes: int = Field(256 << 10, ge=0, description="a larger message's structure is read in a thread")
    together_messages: int = Field(
        16, ge=2, description="messages of one APPEND from which on their structure is read after it is answered"
    )
    commit_bytes: int = Field(8 << 20, gt=0, description="message bytes in one commit")
    upload_bytes: int = Field(8 << 20, gt=0, description="a larger object is uploaded in parts of so many bytes")
    own_object_age: float = Field(
        86400.0, gt=0, description="a commit refers to no pack or page of its own that was uploaded longer ago"
    )
    commit_operations: int = Field(1000, gt=0, description="operations in one commit")
    repost_bytes: int = Field(
        64 << 10,
        ge=0,
        description="a batch that lost a race and is larger is moved into packs before it is tried again",
    )
    header_read_bytes: int = Field(16 << 10, ge=1024, description="first ranged read of a foreign commit")
    checkpoint_commits: int = Field(16, ge=1, description="commits after which a checkpoint is due")
    checkpoint_header_bytes: int = Field(64 << 10, ge=1, description="commit headers after which a checkpoint is due")
    checkpoint_interval: float = Field(
        2.0,
        ge=0,
        description="shortest time between two checkpoints of an account, and how long one waits for clients to rest",
    )
    page_messages: int = Field(500, ge=1, description="messages in a full metadata page")
    state_page_messages: int = Field(262_144, ge=1, description="messages in a full state page (flags, modseqs, sizes)")
    overlay_entries: int = Field(
        2000, ge=0, description="changes kept in the checkpoint before state pages are rewritten"
    )
    fold_pages: int = Field(
        64, ge=0, description="metadata pages of relocated messages that one checkpoint writes anew"
    )
    pack_objects: int = Field(128, ge=1, description="small commits that hold mail before they are packed")
    pack_small_bytes: int = Field(16 << 20, ge=1, description="bytes of mail in small commits before they are packed")
    pack_newest: int = Field(32, ge=0, description="newest commits that packing leaves alone")
    pack_bytes: int = Field(24 << 20, ge=1, description="bytes of messages in one pack")
    pack_messages: int = Field(16_384, ge=1, description="messages in one pack")
    pack_moves: int = Field(1000, ge=1, description="messages that one commit of a packing relocates")
    pack_small_packs: int = Field(16, ge=2, description="packs of less than a quarter's size before they are merged")
    pack_dead: float = Field(0.5, gt=0, le=1, description="a pack of which more is dead is packed again")
    collect_checkpoints: int = Field(16, ge=1, description="checkpoints written, on average, between two collections")
    unreferenced_age: float = Field(
        7 * 86400.0, gt=0, description="a page or pack that nothing refers to is deleted when so old, in bucket time"
    )
    copy_inline_messages: int = Field(64, ge=0, description="COPY and MOVE of more write their records as pages")
    background_quiet: float = Field(
        0.01, gt=0, description="clients have rested for so long before a turn of background work begins"
    )
    background_patience: float = Field(
        0.25, gt=0, description="a turn begins after so long where clients never rest: work of some milliseconds"
    )
    pack_patience: float = Field(
        10.0,
        gt=0,
        description="packing, and writing search postings, wait so long for clients to rest before they begin",
    )
    search_due: int = Field(
        64, ge=0, description="messages of a mailbox without search postings before some are written; 0: never"
    )
    search_batch: int = Field(2048, ge=1, le=4096, description="messages whose postings are made in memory at once")
    search_turn_bytes: int = Field(
        64 << 10, ge=1, description="messages taken apart for search in one turn: so many bytes, or one message"
    )
    search_segment: int = Field(4096, ge=1, le=65_535, description="messages in one segment of search postings")
    search_message_bytes: int = Field(
        4 << 20, ge=0, description="a larger message is not indexed: searches always read it"
    )
    search_cache_bytes: int = Field(
        32 << 20, ge=0, description="search postings and the orders that SORT found, kept in memory"
    )
    search_text_bytes: int = Field(64 << 20, ge=0, description="texts of messages kept in memory for searches")
    keywords: int = Field(256, ge=1, description="distinct keywords in one mailbox")
    mailboxes: int = Field(5000, ge=1, description="mailboxes in one account")
    grants: int = Field(1000, ge=1, description="accounts that one mailbox may be shared with")
    name_bytes: int = Field(1000, ge=1, description="length of a mailbox name in UTF-8")
    annotations: int = Field(100, ge=10, description="annotations (RFC 5464) of one mailbox, and of the account")
    annotation_bytes: int = Field(16 << 10, ge=1024, description="the largest value of an annotation")
    account_annotation_bytes: int = Field(
        1 << 20, ge=10_240, description="names and values of all annotations in one account: checkpoints hold them"
    )
    change_log: int = Field(50_000, ge=0, description="changed UIDs remembered a mailbox, to tell sessions what is new")
    page_cache_bytes: int = Field(96 << 20, ge=0, description="decoded pages kept in memory")
    body_cache_bytes: int = Field(64 << 20, ge=0, description="message bodies kept in memory")
    body_cache_item_bytes: int = Field(1 << 20, ge=0, description="a larger body is not kept")
    idle_accounts: int = Field(2000, ge=0, description="open accounts kept in memory with nobody using them")
    read_run_bytes: int = Field(8 << 20, ge=1, description="messages that lie together are read so many bytes at once")
    read_gap_bytes: int = Field(64 << 10, ge=0, description="bytes between two messages that are read along")
    read_ahead: int = Field(
        16, ge=1, description="bodies read at once for one client, on a bucket that is not a folder"
    )
    pages_ahead: int = Field(
        4, ge=0, description="metadata pages read at once for one client, likewise, beside the one it takes"
    )
    read_ahead_bytes: int = Field(16 << 20, ge=1, description="bytes of bodies read ahead for one client")
