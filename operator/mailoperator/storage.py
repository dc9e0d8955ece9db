"""The buckets of all hosts: prepared, claimed, tried, and the directories in them (context.Plane).

- An endpoint is judged before anything is sent to it, credentials above all (OPERATOR.md rule 32).
- What the probe found fit stands in the claim, so that a restart writes nothing. One trial is for all hosts.
- Every failure is a condition; no message quotes a Secret or a server's text.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from mailoperator import conditions as c
from mailoperator.bucket import BucketAdmin, BucketReport, Finding, Target, Unusable
from mailoperator.build.inputs import BucketInputs
from mailoperator.conditions import Condition, bad, good
from mailoperator.context import StorageFailed, StorageReport, Usage
from mailoperator.credentials import Credentials, parse_credentials
from mailoperator.directorysync import DirectorySync
from mailoperator.endpoint import EndpointRefused, Resolver, check_endpoint, resolve
from mailoperator.fenced import FencedObjects
from mailoperator.kube import MANAGER, ApiError
from mailoperator.leader import Leader, NotLeading
from mailoperator.model import MailDomain
from mailoperator.model_storage import Storage
from mailoperator.offered import Refused, offered, value
from mailoperator.podcredentials import give_to_pods
from mailoperator.proofs import Proofs
from mailoperator.settings import OperatorSettings
from mailoperator.signing import signing_key
from mailoperator.world import Key
from mailpod.clock import Clock
from mailpod.directory import (
    PROBE_VERSION,
    Ambiguous,
    Claim,
    ClaimConflict,
    DomainEntry,
    Entry,
    ObjectStore,
    StorageError,
    claim_domain,
    claim_prefix,
    held_claim,
    open_bucket,
    probe,
    public_key,
    remove_left,
)
from mailpod.errors import MailError

T = TypeVar("T")
Raw = dict[str, Any]
TAKE_OVER: Final = "mailpod.dev/take-over-storage"  # annotation: the holder, as the condition names it
_DECISIVE: Final = frozenset({"bucket", "bucket_versioning"})  # written: what the probe found may hold no more
PREFIX_CLAIMED: Final = "PrefixClaimed"
_AGAIN_SECONDS: Final = 600.0  # after which a bucket that was found good is looked at again
_TRUSTED_SECONDS: Final = 15.0  # for which endpoint and credentials are not asked for again: thousands publish at once


class KubeApi(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def apply(self, obj: Raw, *, force: bool = True, manager: str = MANAGER) -> Raw: ...
    async def create(self, obj: Raw) -> Raw: ...


@dataclass(slots=True)
class _Bucket:
    """A host's bucket that is open."""

    target: Target
    digest: str  # of the credentials
    admin: BucketAdmin
    root: ObjectStore
    objects: ObjectStore
    sync: DirectorySync
    report: StorageReport | None = None
    looked: float = 0.0  # Clock.elapsed
    trusted: float = float("-inf")  # Clock.elapsed, when it was last prepared without fault


class ClusterPlane:
    """One an operator. `stop` removes the credentials' files."""

    def __init__(
        self,
        kube: KubeApi,
        settings: OperatorSettings,
        leader: Leader,
        clock: Clock,
        *,
        cluster_uid: str,
        rng: random.Random | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._leader = leader
        self._clock = clock
        self._cluster = cluster_uid
        self._rng = rng or random.SystemRandom()
        self._resolver = resolver
        self._folder = tempfile.TemporaryDirectory(prefix="mailpod-")
        self._buckets: dict[Key, _Bucket] = {}
        self._locks: dict[Key, asyncio.Lock] = {}
        self._domains: set[tuple[Key, str]] = set()  # claimed by this process
        self._purging: dict[Key, asyncio.Task[None]] = {}
        self._signing: bytes | None = None
        self._proofs = Proofs(clock)
        lease = f"{cluster_uid}/{settings.namespace}/{settings.lease_name}"  # whose holder alone tries buckets
        self._prober = hashlib.sha256(lease.encode()).hexdigest()[:24]

    async def stop(self) -> None:
        for task in list(self._purging.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._folder.cleanup()

    # -- preparing

    async def prepare(self, host: MailDomain) -> StorageReport:
        """Bucket, probe and claim; a look at the clock where all that was done lately."""
        async with self._locks.setdefault(host.key, asyncio.Lock()):
            return await self._try_to_prepare(host)

    async def _try_to_prepare(self, host: MailDomain) -> StorageReport:
        if known := self._buckets.get(host.key):
            known.trusted = float("-inf")
        try:
            return await self._prepare(host)
        except StorageFailed as failed:
            return StorageReport(failed.condition)
        except EndpointRefused as refused:
            return StorageReport(bad(c.STORAGE_READY, refused.reason, str(refused)))
        except Refused as refused:
            return StorageReport(bad(c.STORAGE_READY, refused.reason, refused.message))
        except NotLeading:  # it may be a StorageError too, and says nothing of the bucket
            raise
        except (StorageError, Ambiguous, MailError) as error:
            return StorageReport(bad(c.STORAGE_READY, c.STORAGE_UNAVAILABLE, f"the bucket fails: {error}"))
        except Unusable as unusable:
            return StorageReport(_condition(unusable.finding))
        except ClaimConflict as conflict:
            return StorageReport(bad(c.STORAGE_READY, PREFIX_CLAIMED, _claimed(conflict)))
        except ApiError as error:
            if error.status not in (403, 422):  # what passes is tried again
                raise
            return StorageReport(bad(c.STORAGE_READY, c.APPLY_REFUSED, f"the API server refuses: {error.message}"))
        except ValueError as error:  # of settings and of Secrets, which it does not quote
            return StorageReport(bad(c.STORAGE_READY, c.INVALID, str(error)))

    async def _prepare(self, host: MailDomain) -> StorageReport:
        storage, own = self._storage_of(host)
        target = _target(storage, host, own=own)
        await check_endpoint(target.endpoint, self._settings.allow_http_hosts, resolver=self._resolver)
        credentials = await self._credentials(storage, host, own=own)
        bucket = await self._open(host, target, credentials)
        if bucket.report is not None and self._clock.elapsed() - bucket.looked < _AGAIN_SECONDS:
            bucket.trusted = self._clock.elapsed()
            return bucket.report
        self._leader.check()
        found = await bucket.admin.ensure()
        if found.problems:
            return StorageReport(_condition(found.problems[0]))
        if _DECISIVE.intersection(found.written):
            self._proofs.forget(target.bucket)
        if failed := await self._claim(host, bucket):
            return StorageReport(failed)
        secret = await give_to_pods(self._kube, host, credentials)
        inputs = BucketInputs(target.bucket, target.prefix, target.endpoint, target.region, secret)
        bucket.report = StorageReport(_good(found), inputs)
        bucket.looked = bucket.trusted = self._clock.elapsed()
        return bucket.report

    def _storage_of(self, host: MailDomain) -> tuple[Storage, bool]:
        """The host's own storage, or the installation's (False). Raises StorageFailed."""
        server = host.spec.server
        if server is not None and server.storage is not None:
            return server.storage, True
        if self._settings.default_storage is None:
            words = "server.storage is not set, and the installation has no default"
            raise StorageFailed(bad(c.STORAGE_READY, c.STORAGE_MISSING, words))
        return Storage.model_validate(self._settings.default_storage), False

    async def _credentials(self, storage: Storage, host: MailDomain, *, own: bool) -> Credentials | None:
        """Raises Refused, ApiError."""
        ref = storage.credentials_secret_ref
        if ref is None:
            return None
        if own:
            secret = await offered(self._kube, host.metadata.namespace, ref.name, "s3")
        else:  # the installation's, named by who installed it
            found = await self._kube.get("v1", "Secret", self._settings.namespace, ref.name)
            if found is None:
                raise Refused(c.SECRET_MISSING, f"there is no Secret {ref.name} in the operator's namespace")
            secret = found
        try:
            return parse_credentials({key: value(secret, key) or b"" for key in secret.get("data") or {}})
        except ValueError as error:
            raise Refused(c.SECRET_INVALID, f"Secret {ref.name}: {error}") from None

    async def _open(self, host: MailDomain, target: Target, credentials: Credentials | None) -> _Bucket:
        digest = credentials.digest if credentials else ""
        known = self._buckets.get(host.key)
        if known is not None and (known.target, known.digest) == (target, digest):
            return known
        file = await asyncio.to_thread(self._write, host.key, credentials)
        place = BucketInputs(target.bucket, "", target.endpoint, target.region)
        check = self._leader.check
        root = FencedObjects(await open_bucket(place.url(), credentials_file=file, clock=self._clock), check)
        objects = root
        if target.prefix:
            below = await open_bucket(replace(place, prefix=target.prefix).url(), credentials_file=file)
            objects = FencedObjects(below, check)
        admin = BucketAdmin(target, credentials)
        sync = DirectorySync(
            objects,
            signing_key=await self._signing_key(),
            clock=self._clock,
            rng=self._rng,
            grace=self._settings.grace_seconds,
            erase=admin.erase,
            holds_claim=lambda: self._holds(root, target.prefix, host),
            may_write=check,
        )
        made = self._buckets[host.key] = _Bucket(target, digest, admin, root, objects, sync)
        return made

    def _write(self, key: Key, credentials: Credentials | None) -> Path | None:
        if credentials is None:
            return None
        path = Path(self._folder.name) / hashlib.sha256("/".join(key).encode()).hexdigest()[:32]
        path.touch(mode=0o600)
        path.write_text(credentials.file())
        return path

    async def _claim(self, host: MailDomain, bucket: _Bucket) -> Condition | None:
        """Try the bucket, unless our claim says that it was found fit, and claim the prefix. Raises ClaimConflict."""
        owner, prefix = self._owner(host), bucket.target.prefix
        proof = f"{PROBE_VERSION}:{bucket.target.endpoint or 'aws'}"
        held = await held_claim(bucket.root, prefix, owner)
        self._leader.check()
        way = (bucket.target.endpoint or "aws", bucket.target.region or "", bucket.target.bucket, bucket.digest)
        await self._proofs.tidied(way, lambda: remove_left(bucket.root, self._prober))
        if held is not None and held.proof == proof:
            return None
        found = await self._proofs.result(way, lambda: probe(bucket.root, rng=self._rng, whose=self._prober))
        if not found.ok:
            return bad(c.STORAGE_READY, found.reason, found.message)
        wanted = Claim(owner.cluster, owner.namespace, owner.name, proof)
        try:
            await claim_prefix(bucket.root, prefix, wanted)
        except ClaimConflict as conflict:
            if not conflict.may_take_over or host.metadata.annotations.get(TAKE_OVER) != _holder(conflict.holder):
                raise
            await claim_prefix(bucket.root, prefix, wanted, take_over=True)
        return None

    def _owner(self, host: MailDomain) -> Claim:
        return Claim(self._cluster, host.metadata.namespace, host.metadata.name)

    async def _holds(self, root: ObjectStore, prefix: str, host: MailDomain) -> bool:
        return await held_claim(root, prefix, self._owner(host)) is not None

    # -- the directory

    async def directory_keys(self) -> tuple[str, ...]:
        return (base64.b64encode(public_key(await self._signing_key())).decode(),)

    async def _signing_key(self) -> bytes:
        if self._signing is None:
            self._signing = await signing_key(self._kube, self._settings.namespace, self._settings.signing_key_secret)
        return self._signing

    async def publish(
        self, host: MailDomain, entries: Sequence[Entry], living: Callable[[str], bool], planned: float | None = None
    ) -> list[tuple[str, str]]:
        async def publish(bucket: _Bucket) -> list[tuple[str, str]]:
            await self._claim_domains(host, bucket, entries)
            return list((await bucket.sync.publish_one(entries, living, planned)).conflicts)

        return await self._with(host, publish)

    async def withdraw(self, host: MailDomain, owner: str, entries: Sequence[Entry]) -> None:
        await self._with(host, lambda bucket: bucket.sync.withdraw(owner, entries))

    async def compare(
        self,
        host: MailDomain,
        entries: Sequence[Entry],
        approved: str | None,
        living: Callable[[str], bool] = lambda owner: False,
        planned: float | None = None,
    ) -> str | None:
        """The comparison, and then, in the background, the purges that are due."""
        done = await self._with(host, lambda bucket: bucket.sync.compare(entries, approved, living, planned))
        if done.brake is None and host.key not in self._purging:
            task = self._purging[host.key] = asyncio.ensure_future(self._purge(self._buckets[host.key].sync))
            task.add_done_callback(lambda _: self._purging.pop(host.key, None))
        return str(done.brake) if done.brake else None

    async def _purge(self, sync: DirectorySync) -> None:
        with suppress(StorageError, Ambiguous, MailError, Unusable):  # the next comparison brings it up again
            await sync.purge_due()

    async def close(self, host: MailDomain, domain: str, local: str, owner: str) -> None:
        await self._with(host, lambda bucket: bucket.sync.close(domain, local, owner))

    async def usage(self, host: MailDomain, entries: Sequence[Entry]) -> Mapping[str, Usage]:
        found = await self._with(host, lambda bucket: bucket.sync.usage(entries))
        return {address: Usage(one.bytes, one.messages, one.damage) for address, one in found.items()}

    async def verifiers(self, host: MailDomain, address: str) -> tuple[str, ...]:
        """Those of an address, by its signed entry as it was last seen; () where it has none."""
        return await self._with(host, lambda bucket: bucket.sync.verifiers(address))

    async def _claim_domains(self, host: MailDomain, bucket: _Bucket, entries: Sequence[Entry]) -> None:
        """The prefix is ours, so whoever had a domain in it before has it no more."""
        for entry in entries:
            if isinstance(entry, DomainEntry) and (host.key, entry.name) not in self._domains:
                self._leader.check()
                await claim_domain(bucket.objects, entry.name, self._owner(host), take_over=True)
                self._domains.add((host.key, entry.name))

    async def _with(self, host: MailDomain, work: Callable[[_Bucket], Awaitable[T]]) -> T:
        """`work` with the host's bucket, prepared. Raises StorageFailed, and NotLeading."""
        bucket = await self._ready(host)
        try:
            return await work(bucket)
        except Unusable as unusable:
            raise StorageFailed(_condition(unusable.finding)) from None
        except NotLeading:
            raise
        except (StorageError, Ambiguous, MailError) as error:
            bucket.trusted = float("-inf")  # its credentials may have been changed
            words = f"the bucket does not answer: {error}"
            raise StorageFailed(bad(c.STORAGE_READY, c.STORAGE_UNAVAILABLE, words)) from None

    async def _ready(self, host: MailDomain) -> _Bucket:
        """The host's bucket, prepared a moment ago. Raises StorageFailed, and NotLeading."""
        if (known := self._trusted(host)) is not None:
            return known
        async with self._locks.setdefault(host.key, asyncio.Lock()):
            if (known := self._trusted(host)) is not None:  # by who had the lock before
                return known
            report = await self._try_to_prepare(host)
        if not report.condition.holds:
            raise StorageFailed(report.condition)
        return self._buckets[host.key]

    def _trusted(self, host: MailDomain) -> _Bucket | None:
        known = self._buckets.get(host.key)
        if known is None or self._clock.elapsed() - known.trusted > _TRUSTED_SECONDS:
            return None
        storage, own = self._storage_of(host)
        return known if known.target == _target(storage, host, own=own) else None


def _target(storage: Storage, host: MailDomain, *, own: bool) -> Target:
    prefix = storage.prefix or ""
    if not own:  # hosts share the installation's bucket, each has a part of it
        prefix = "/".join(filter(None, (prefix, host.metadata.namespace, host.metadata.name)))
    endpoint = storage.endpoint.rstrip("/") if storage.endpoint else None
    return Target(
        storage.bucket, prefix, endpoint, storage.region, storage.provisioning == "Create",
        storage.encryption.type, storage.encryption.kms_key_id,
    )  # fmt: skip


def _condition(finding: Finding) -> Condition:
    return bad(c.STORAGE_READY, finding.reason, finding.message)


def _good(found: BucketReport) -> Condition:
    return good(c.STORAGE_READY, "; ".join(f"{note.message} ({note.reason})" for note in found.notes))


def _holder(holder: Claim) -> str:
    return f"{holder.cluster}/{holder.namespace}/{holder.name}"


def _claimed(conflict: ClaimConflict) -> str:
    words = f"{conflict}"
    if conflict.may_take_over:
        words += f"; if that one is no more, take over by the annotation {TAKE_OVER}: {_holder(conflict.holder)}"
    return words
