"""A whole bucket, or one address in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailpod.addresses import normalize
from mailpod.store.check.account import AccountReport, check_account
from mailpod.store.check.beside import check_beside
from mailpod.store.check.directory import DirectoryCheck, Place, account_places, check_claims
from mailpod.store.check.finding import Findings, Progress, no_progress
from mailpod.store.check.spool import check_spool
from mailpod.store.names import encode_local_part
from mailpod.store.objects import ObjectStore, StorageError


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """`address`: only this one's account. `bodies`: read every message. `public_keys`: 32 bytes each."""

    address: str = ""
    bodies: bool = True
    public_keys: Sequence[bytes] = ()


@dataclass(slots=True)
class Checked:
    """What a check has looked at, and found."""

    findings: Findings
    accounts: int = 0
    messages: int = 0
    bytes: int = 0
    queued: int = 0


async def check_bucket(
    objects: ObjectStore,
    options: CheckOptions,
    *,
    root: ObjectStore | None = None,
    progress: Progress = no_progress,
) -> Checked:
    """`root`: the bucket without a prefix, where the claims lie. Raises StorageError, ValueError for no address."""
    checked = Checked(Findings())
    places = await find_places(objects, options.address)
    directory = DirectoryCheck(objects, options.public_keys, checked.findings)
    if not options.address:
        progress(0.0, "directory")
        await directory.read()
        places = directory.judge(places)
        checked.queued = await check_spool(objects, checked.findings)
        await check_beside(objects, checked.findings)
        if root is not None:
            await _claims(root, checked.findings)
    for at, place in enumerate(places):

        def tell(done: float, place: Place = place, at: int = at) -> None:
            progress((at + done) / len(places), place.address)

        tell(0.0)
        if place.state == "to be erased":
            continue  # what is half erased is not damaged
        report = await check_account(objects, place.prefix, place.address, bodies=options.bodies, tell=tell)
        _add(checked, report)
    progress(1.0, "")
    return checked


async def find_places(objects: ObjectStore, address: str = "") -> list[Place]:
    """The folders of all accounts, or of one address. Raises ValueError where that is none, StorageError."""
    if not address:
        return await account_places(objects)
    local, domain = normalize(address)
    return await account_places(objects, domain=domain, local=encode_local_part(local))


async def _claims(root: ObjectStore, findings: Findings) -> None:
    try:
        await check_claims(root, findings)
    except StorageError as error:
        findings.add("claims-unseen", ".mailpod/claims/", f"They cannot be read: {error}.", severity="note")


def _add(checked: Checked, report: AccountReport) -> None:
    checked.accounts += 1
    checked.messages += report.live.messages
    checked.bytes += report.live.bytes
    checked.findings.items.extend(report.findings)
