"""What lies beside mail: hints of shared mailboxes, MTA-STS policies of others, counts for reports, rounds,
and what no rule of FORMAT.md names.

Never damage: a policy is had again, a count that is lost is a number too low, and the owner's log says what is shared.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from mailpod.store.check.contents import each
from mailpod.store.check.finding import Findings
from mailpod.store.daycounts import DMARC_PREFIX, TLS_PREFIX
from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.rounds import ROUNDS_PREFIX
from mailpod.store.shares import SHARES_PREFIX
from mailpod.store.stspolicies import POLICIES_PREFIX, KeptPolicy

REPORTED: Final = {
    TLS_PREFIX: "that day's TLS reports tell of fewer sessions",
    DMARC_PREFIX: "that day's DMARC reports tell of fewer messages",
}
KNOWN: Final = (
    *("accounts", "directory", "outbound"),
    *(prefix[:-1] for prefix in (SHARES_PREFIX, POLICIES_PREFIX, ROUNDS_PREFIX, *REPORTED)),
)
"""Folders at the top, but for those that begin with a dot."""
_SHARE: Final = re.compile(r"[^/]+/[^/]+/[^/]+/[0-9a-f]{24}")
_POLICY: Final = re.compile(r"[^/]+")
_COUNT: Final = re.compile(r"\d{4}-\d\d-\d\d/count-[0-9a-f]{16}")
_CLAIM: Final = re.compile(r"\d{4}-\d\d-\d\d/claim-\d\d")
_ROUND: Final = re.compile(r"\d{4}-\d\d-\d\d/[^/]+/(claim-\d\d|done)")


async def check_beside(objects: ObjectStore, findings: Findings) -> None:
    """Raises StorageError."""
    check = _Beside(objects, findings)
    policies = await check.named(POLICIES_PREFIX, _POLICY)
    await check.decode(policies, KeptPolicy, "policy-bad", "pods ask that domain for its policy again")
    await check.named(SHARES_PREFIX, _SHARE)
    for prefix, effect in REPORTED.items():
        counts = [key for key in await check.named(prefix, _COUNT, _CLAIM) if "/count-" in key]
        await check.decode(counts, list[dict[str, Any]], "count-bad", effect)
    await check.named(ROUNDS_PREFIX, _ROUND)
    for name in await objects.list_folders(""):
        if name not in KNOWN and not name.startswith("."):
            check.strange(f"{name}/")


class _Beside:
    def __init__(self, objects: ObjectStore, findings: Findings) -> None:
        self._objects = objects
        self._findings = findings

    def strange(self, key: str) -> None:
        self._findings.add("strange-object", key, "No rule of FORMAT.md names it.", severity="note")

    async def named(self, prefix: str, *names: re.Pattern[str]) -> list[str]:
        """Keys under `prefix` whose rest is as one of `names` says."""
        out = []
        for entry in await self._objects.list(prefix):
            if any(name.fullmatch(entry.key.removeprefix(prefix)) for name in names):
                out.append(entry.key)
            else:
                self.strange(entry.key)
        return out

    async def decode(self, keys: list[str], of: Any, kind: str, effect: str) -> None:
        """Say of those that are no `of` what that does."""

        async def look(key: str) -> None:
            try:
                msgspec.json.decode(await self._objects.get(key), type=of)
            except NotFound:
                return  # reported, or had again, meanwhile
            except msgspec.MsgspecError as error:
                self._findings.add(kind, key, f"It cannot be read ({error}): {effect}.", severity="note")

        await each(look, keys)
