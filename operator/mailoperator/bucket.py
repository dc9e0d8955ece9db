"""The bucket itself, by boto3 in threads: made or adopted, set up, looked at, and rid of what listings do not show.

- Looks first and writes only what differs: a second `ensure_bucket` writes nothing.
- A bucket that is adopted is not changed: what it lacks is a note.
- What a server does not know (SeaweedFS, versitygw) is a note; what would take mail away is a problem (STORE.md 21).
- Messages hold S3's error codes and our words, never a server's text, which may repeat an access key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import boto3
import botocore.config
import botocore.exceptions

from mailoperator import lifecycle
from mailoperator.credentials import Credentials

REDIRECTED: Final = "EndpointRedirects"
_NOT_THERE: Final = frozenset({"404", "NoSuchBucket", "NotFound"})
_REFUSED: Final = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
_UNKNOWN: Final = frozenset(
    {"NotImplemented", "MethodNotAllowed", "501", "405", "XNotImplemented", "UnsupportedOperation", "InvalidRequest",
     "MalformedXML", "InvalidArgument", "NotSupported"}
)  # fmt: skip
_UNSET: Final = frozenset(
    {"NoSuchLifecycleConfiguration", "NoSuchPublicAccessBlockConfiguration", "ObjectLockConfigurationNotFoundError",
     "ReplicationConfigurationNotFoundError", "ServerSideEncryptionConfigurationNotFoundError", "NoSuchBucketPolicy"}
)  # fmt: skip
_BLOCK: Final = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """A bucket, and the part of it that is a server's. `prefix` without slashes at its ends."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    create: bool = True
    encryption: Literal["None", "SSES3", "SSEKMS"] = "None"
    kms_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A constant reason, and words for people."""

    reason: str
    message: str


@dataclass(slots=True)
class BucketReport:
    """`problems`: it must not be used; `notes`: said in status; `written`: what this call changed."""

    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def problem(self, reason: str, message: str) -> None:
        self.problems.append(Finding(reason, message))

    def note(self, reason: str, message: str) -> None:
        self.notes.append(Finding(reason, message))


class Unusable(Exception):
    """Nothing can be said of the bucket now; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class BucketAdmin:
    """One bucket's administration. Its client is made once; every call runs in a thread."""

    def __init__(self, target: Target, credentials: Credentials | None) -> None:
        """Without credentials: the identity that this process has of its own."""
        self.target = target
        self._credentials = credentials
        self._made: Any = None

    async def ensure(self) -> BucketReport:
        """Make or adopt the bucket, and set it up. Raises Unusable."""
        return await asyncio.to_thread(self._guarded, self._ensure)

    async def erase(self, prefix: str) -> None:
        """Old versions, delete markers and unfinished uploads below `prefix`, which is relative to the target's.

        Delete markers last: with one gone the version under it would be there again. Raises Unusable.
        """
        place = f"{self.target.prefix}/{prefix}" if self.target.prefix else prefix
        await asyncio.to_thread(self._guarded, lambda: self._erase(place))

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except botocore.exceptions.ClientError as error:
            code = _code(error)
            if code in _REFUSED:
                words = f"the server refuses the credentials for {error.operation_name}: {code}"
                raise Unusable(Finding("AccessDenied", words)) from None
            raise Unusable(Finding("BucketUnavailable", f"{error.operation_name} failed: {code}")) from None
        except botocore.exceptions.BotoCoreError as error:
            raise Unusable(
                Finding("BucketUnavailable", f"the server cannot be reached: {type(error).__name__}")
            ) from None

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = _client(self.target, self._credentials)
        return self._made

    # -- setting up

    def _ensure(self) -> BucketReport:
        report = BucketReport()
        if self._exists(report):
            if self.target.create:
                self._block_public_access(report)
                self._version(report)
                self._expire_old(report)
            else:
                self._look(report)
            self._encrypt(report)
            self._refuse_lifecycle(report)
            self._look_at_lock(report)
            self._look_at_replication(report)
        return report

    def _exists(self, report: BucketReport) -> bool:
        name = self.target.bucket
        try:
            self._client.head_bucket(Bucket=name)
            return True
        except botocore.exceptions.ClientError as error:
            if _code(error) in ("301", "PermanentRedirect"):
                report.problem("WrongRegion", f"the bucket {name} is in another region")
                return False
            if _code(error) not in _NOT_THERE:
                raise
        if not self.target.create:
            report.problem("BucketMissing", f"there is no bucket {name}, and provisioning is Adopt")
            return False
        return self._create(report)

    def _create(self, report: BucketReport) -> bool:
        name, region = self.target.bucket, self.target.region
        where = (
            {"CreateBucketConfiguration": {"LocationConstraint": region}} if region not in (None, "us-east-1") else {}
        )
        try:
            self._client.create_bucket(Bucket=name, **where)
        except botocore.exceptions.ClientError as error:
            if _code(error) == "BucketAlreadyExists":
                report.problem("BucketNotOurs", f"the bucket {name} is somebody else's")
                return False
            if _code(error) != "BucketAlreadyOwnedByYou":
                raise
        report.written.append("bucket")
        return True

    def _block_public_access(self, report: BucketReport) -> None:
        found = self._get("get_public_access_block", "PublicAccessBlockConfiguration")
        if found is None or found != _BLOCK:
            self._put(
                report, "PublicAccessBlockUnsupported", "public access cannot be blocked here",
                "put_public_access_block", PublicAccessBlockConfiguration=_BLOCK,
            )  # fmt: skip

    def _version(self, report: BucketReport) -> None:
        if self._get("get_bucket_versioning", "Status") != "Enabled":
            self._put(
                report, "VersioningUnsupported", "the server keeps no old versions",
                "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"},
            )  # fmt: skip

    def _expire_old(self, report: BucketReport) -> None:
        rules = lifecycle.merged(self._rules(), self.target.prefix)
        if rules is not None:
            self._put(
                report, "LifecycleUnsupported", "old versions and aborted uploads do not expire by themselves",
                "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": rules},
            )  # fmt: skip

    def _encrypt(self, report: BucketReport) -> None:
        if self.target.encryption == "None":
            return
        wanted = {"SSEAlgorithm": "AES256" if self.target.encryption == "SSES3" else "aws:kms"}
        if self.target.kms_key_id:
            wanted["KMSMasterKeyID"] = self.target.kms_key_id
        found = self._get("get_bucket_encryption", "ServerSideEncryptionConfiguration") or {}
        if any(rule.get("ApplyServerSideEncryptionByDefault") == wanted for rule in found.get("Rules", [])):
            return
        if not self.target.create:
            report.problem("EncryptionMissing", "the bucket is not encrypted as asked for, and provisioning is Adopt")
            return
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": wanted}]}
        missing = BucketReport()
        self._put(
            missing, "EncryptionUnsupported", "the server cannot encrypt as asked for",
            "put_bucket_encryption", ServerSideEncryptionConfiguration=rules,
        )  # fmt: skip
        report.problems += missing.notes  # asked for by name: without it mail would lie there unencrypted
        report.written += missing.written

    def _look(self, report: BucketReport) -> None:
        """What an adopted bucket lacks."""
        if self._get("get_public_access_block", "PublicAccessBlockConfiguration") != _BLOCK:
            report.note("PublicAccessNotBlocked", "public access to the bucket is not blocked")
        if self._get("get_bucket_versioning", "Status") != "Enabled":
            report.note("NotVersioned", "the bucket keeps no old versions")
        elif lifecycle.merged(self._rules(), self.target.prefix) is not None:
            report.note("OldVersionsStay", "no lifecycle rule of Mailpod's expires old versions")

    # -- refusing

    def _refuse_lifecycle(self, report: BucketReport) -> None:
        for words in lifecycle.harmful(self._rules(), self.target.prefix):
            report.problem("LifecycleExpiresMail", words)

    def _look_at_lock(self, report: BucketReport) -> None:
        found = self._get("get_object_lock_configuration", "ObjectLockConfiguration") or {}
        if found.get("ObjectLockEnabled") == "Enabled":
            report.note("ObjectLock", "Object Lock is on: what is deleted is erased only when its retention is over")

    def _look_at_replication(self, report: BucketReport) -> None:
        found = self._get("get_bucket_replication", "ReplicationConfiguration") or {}
        for rule in found.get("Rules", []):
            if rule.get("Status") != "Enabled":
                continue
            other = str((rule.get("Destination") or {}).get("Bucket", "")).rpartition(":")[2]
            modifications = (rule.get("SourceSelectionCriteria") or {}).get("ReplicaModifications") or {}
            if modifications.get("Status") == "Enabled" or self._replicates_back(other):
                report.problem(
                    "ReplicationActiveActive", f"the bucket and {other} replicate to each other: two winners"
                )
            else:
                report.note("Replicated", f"the bucket is copied to {other}; serve mail from one of them only")

    def _replicates_back(self, other: str) -> bool:
        try:
            found = self._client.get_bucket_replication(Bucket=other)["ReplicationConfiguration"]
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, KeyError):
            return False
        ends = (str((rule.get("Destination") or {}).get("Bucket", "")) for rule in found.get("Rules", []))
        return any(end.rpartition(":")[2] == self.target.bucket for end in ends)

    # -- requests

    def _rules(self) -> list[dict[str, Any]]:
        return self._get("get_bucket_lifecycle_configuration", "Rules") or []

    def _get(self, operation: str, name: str) -> Any:
        """A setting; None where it is not set, or not known to the server, or not ours to see."""
        try:
            return getattr(self._client, operation)(Bucket=self.target.bucket).get(name)
        except botocore.exceptions.ClientError as error:
            if _code(error) in _UNSET | _UNKNOWN | {"AccessDenied", "403"} or _status(error) in (404, 405, 501):
                return None
            raise

    def _put(self, report: BucketReport, reason: str, words: str, operation: str, **setting: Any) -> None:
        try:
            getattr(self._client, operation)(Bucket=self.target.bucket, **setting)
        except botocore.exceptions.ClientError as error:
            if _code(error) in ("AccessDenied", "403"):
                report.note(reason.replace("Unsupported", "NotPermitted"), f"{words}: these credentials may not set it")
            elif _code(error) in _UNKNOWN or _status(error) in (400, 404, 405, 501):
                report.note(reason, words)
            else:
                raise
        else:
            report.written.append(operation.removeprefix("put_"))

    def _erase(self, prefix: str) -> None:
        for kind in ("Versions", "DeleteMarkers"):
            for batch in self._listed(prefix, kind):
                answer = self._client.delete_objects(
                    Bucket=self.target.bucket, Delete={"Objects": batch, "Quiet": True}
                )
                if failed := answer.get("Errors"):
                    words = f"{len(failed)} old versions were not erased: {failed[0].get('Code')}"
                    raise Unusable(Finding("VersionsKept", words))
        self._abort_uploads(prefix)

    def _listed(self, prefix: str, kind: str) -> Iterator[list[dict[str, str]]]:
        try:
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self.target.bucket, Prefix=prefix
            )
            for page in pages:
                found = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in page.get(kind, [])]
                if found:
                    yield found[:_BATCH]
        except botocore.exceptions.ClientError as error:
            if _code(error) not in _UNKNOWN:
                raise

    def _abort_uploads(self, prefix: str) -> None:
        try:
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.target.bucket, Prefix=prefix
            )
            for page in pages:
                for one in page.get("Uploads", []):
                    self._client.abort_multipart_upload(
                        Bucket=self.target.bucket, Key=one["Key"], UploadId=one["UploadId"]
                    )
        except botocore.exceptions.ClientError as error:
            if _code(error) not in _UNKNOWN | {"NoSuchUpload"}:
                raise


def _client(target: Target, credentials: Credentials | None) -> Any:
    given = {}
    if credentials is not None:
        given = {
            "aws_access_key_id": credentials.access_key_id,
            "aws_secret_access_key": credentials.secret_access_key,
            "aws_session_token": credentials.session_token or None,
        }
    config = botocore.config.Config(
        connect_timeout=5,
        read_timeout=20,
        retries={"max_attempts": 3, "mode": "standard"},
        s3={"addressing_style": "path"} if target.endpoint else {},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session()  # of its own: the module's default one is not safe in threads
    region = target.region or "us-east-1"
    client = session.client("s3", endpoint_url=target.endpoint, region_name=region, config=config, **given)
    if target.endpoint:  # AWS's own send elsewhere, by region; another's was judged, and where it sends was not
        client.meta.events.register_first("before-parse.s3.*", _refuse_redirection)
    return client


def _refuse_redirection(response_dict: dict[str, Any], **_: Any) -> None:
    """OPERATOR.md rule 32. Raises Unusable."""
    status = response_dict["status_code"]
    if 300 <= status < 400 and status != 304:
        raise Unusable(Finding(REDIRECTED, f"the endpoint answers with a redirection ({status}): name its target"))


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _status(error: botocore.exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
