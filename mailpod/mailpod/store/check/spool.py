"""The queue: entries that can be read, and what settled ones have left."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from mailpod.store.check.contents import each
from mailpod.store.check.finding import Findings
from mailpod.store.names import outbound_prefix
from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.outbound import FORMAT, SpoolEntry
from mailpod.store.outcome import decode

_HEADER = 64 << 10
_ALONE = ("message", "delayed", "undelivered")  # the last of format 1
_NUMBERED = ("attempt", "noticed", "hold", "release", "retry")


async def check_spool(objects: ObjectStore, findings: Findings) -> int:
    """How many entries wait; raises StorageError."""
    entries: dict[str, dict[str, int]] = defaultdict(dict)
    for item in await objects.list(outbound_prefix()):
        _, identifier, name = item.key.split("/", 2)
        entries[identifier][name] = item.size
    waiting = [identifier for identifier, names in entries.items() if "message" in names and "done" not in names]
    for identifier, names in entries.items():
        if identifier in waiting:
            continue
        findings.add(
            "spool-settled", outbound_prefix(identifier),
            "All its recipients have an outcome, and what it consisted of is not removed yet.", severity="garbage",
            repair="clear", size=sum(names.values()),
        )  # fmt: skip
    await each(lambda identifier: _entry(objects, identifier, findings), waiting)
    for identifier in waiting:
        await _attempts(objects, identifier, entries[identifier], findings)
    return len(waiting)


async def _entry(objects: ObjectStore, identifier: str, findings: Findings) -> None:
    key = f"{outbound_prefix(identifier)}message"
    try:
        data, size = await objects.get_head(key, _HEADER)
        if b"\n" not in data and len(data) < size:
            data = await objects.get(key)
        line, _, _ = data.partition(b"\n")
        entry = msgspec.json.decode(line, type=SpoolEntry)
    except NotFound:
        return
    except msgspec.MsgspecError as error:
        findings.damage(key, "spool-bad", f"A queued message cannot be read ({error}): its recipients do not get it.")
        return
    if entry.id != identifier:
        findings.damage(key, "spool-bad", f"It is the message of entry {entry.id}.")
    if entry.format > FORMAT:
        findings.add("spool-too-new", key, "It was written for newer pods, which hand it out.", severity="note")


async def _attempts(objects: ObjectStore, identifier: str, names: dict[str, int], findings: Findings) -> None:
    for name in names:
        kind, _, number = name.partition("-")
        if name in _ALONE or (kind in _NUMBERED and number.isdigit()):
            continue
        key = outbound_prefix(identifier) + name
        if kind != "result" or not number.isdigit():
            findings.add("strange-object", key, "No rule of FORMAT.md names it.", severity="note")
            continue
        try:
            decode(await objects.get(key))
        except NotFound:
            continue
        except msgspec.MsgspecError as error:
            findings.damage(
                key, "spool-result-bad", f"The outcome of an attempt cannot be read ({error}): the entry is stuck, and"
                " its recipients may get the message again.",
            )  # fmt: skip
