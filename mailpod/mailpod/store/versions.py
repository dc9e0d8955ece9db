"""A bucket as it was: object versions (S3 versioning), read through the interface of a bucket.

boto3 does it, since obstore lists no versions. It comes with the extra `operator`: the operator's image has it, a pod's
has not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mailpod.store.objects import Buffer, Entry, NotFound, StorageError

if TYPE_CHECKING:
    from mailpod.store.s3 import S3Settings

T = TypeVar("T")
_TIMEOUT: Final = 20  # seconds of one request


class NoVersions(Exception):
    """The bucket does not say how it was; the text says why."""


@dataclass(frozen=True, slots=True)
class _Version:
    entry: Entry
    id: str


class BucketAt:
    """An ObjectStore of one prefix as it was at a time; read once, by `open_at`. It cannot be written."""

    def __init__(self, client: Any, settings: S3Settings, found: dict[str, _Version]) -> None:
        self._client = client
        self._settings = settings
        self._found = found

    async def get(self, key: str) -> bytes:
        return (await self.get_with_time(key))[0]

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        version = self._version(key)
        return await self._read(version, ""), version.entry.modified

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        version = self._version(key)
        end = min(end, version.entry.size)
        return await self._read(version, f"bytes={start}-{end - 1}") if start < end else b""

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        return await self.get_range(key, 0, size), self._version(key).entry.size

    async def list_folders(self, prefix: str) -> list[str]:
        rest = (key[len(prefix) :] for key in self._found if key.startswith(prefix))
        return sorted({one.partition("/")[0] for one in rest if "/" in one})

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        raise StorageError("the past cannot be written")

    put = create

    async def upload(self, key: str, data: object) -> int:
        raise StorageError("the past cannot be written")

    async def delete(self, keys: Sequence[str]) -> None:
        raise StorageError("the past cannot be written")

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)

    def _version(self, key: str) -> _Version:
        try:
            return self._found[key]
        except KeyError:
            raise NotFound(key) from None

    async def _read(self, version: _Version, span: str) -> bytes:
        def read() -> bytes:
            more = {"Range": span} if span else {}
            key = _full(self._settings, version.entry.key)
            answer = self._client.get_object(Bucket=self._settings.bucket, Key=key, VersionId=version.id, **more)
            return bytes(answer["Body"].read())

        return await _asked(read)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        keys = sorted(key for key in self._found if key.startswith(prefix) and key > after)
        return [self._found[key].entry for key in keys[:limit]]


async def open_at(settings: S3Settings, prefix: str, moment: float, *, deleted: bool = False) -> BucketAt:
    """The objects below `prefix` as they were at `moment` (Unix seconds, the bucket's clock); `deleted`: and those that
    had been deleted by then, as they last were.

    Raises NoVersions, StorageError.
    """
    client = _client(settings)
    status = (await _asked(lambda: client.get_bucket_versioning(Bucket=settings.bucket))).get("Status", "")
    if not status:
        raise NoVersions("the bucket keeps no versions (S3 versioning was never enabled)")
    found = await _asked(lambda: _list(client, settings, prefix, moment, deleted=deleted))
    if not found:
        raise NoVersions(f"the bucket has nothing as old as that under {prefix}: it has expired, or was never kept")
    return BucketAt(client, settings, found)


def _list(client: Any, settings: S3Settings, prefix: str, moment: float, *, deleted: bool) -> dict[str, _Version]:
    """The newest version of each key that is not younger than `moment`; what was deleted then only where asked for."""
    newest: dict[str, tuple[float, _Version | None]] = {}
    until = datetime.fromtimestamp(moment, UTC)
    pages = client.get_paginator("list_object_versions")
    skip = len(_full(settings, ""))
    for page in pages.paginate(Bucket=settings.bucket, Prefix=_full(settings, prefix)):
        for item in page.get("Versions", []):
            if item["LastModified"] <= until:
                key, modified = item["Key"][skip:], item["LastModified"].timestamp()
                _keep(newest, key, modified, _Version(Entry(key, item["Size"], modified), item["VersionId"]))
        for item in () if deleted else page.get("DeleteMarkers", []):
            if item["LastModified"] <= until:
                _keep(newest, item["Key"][skip:], item["LastModified"].timestamp(), None)
    return {key: version for key, (_, version) in newest.items() if version is not None}


def _keep(
    newest: dict[str, tuple[float, _Version | None]], key: str, modified: float, version: _Version | None
) -> None:
    """Listings are newest first; of one second, what was listed first is newer, but a deletion is not believed."""
    before = newest.get(key)
    if before is None or modified > before[0] or (modified == before[0] and before[1] is None):
        newest[key] = modified, version


def _full(settings: S3Settings, key: str) -> str:
    return f"{settings.prefix}/{key}" if settings.prefix else key


def _client(settings: S3Settings) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise NoVersions(
            "reading versions needs boto3: use the operator's image, or install mailpod[operator]"
        ) from None
    from mailpod.store.s3_credentials import read_credentials

    given = read_credentials(settings.credentials_file)
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=given.get("access_key_id"),
        aws_secret_access_key=given.get("secret_access_key"),
        aws_session_token=given.get("session_token"),
        verify=str(settings.ca_file) if settings.ca_file else None,
        config=Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, retries={"max_attempts": 5, "mode": "standard"}),
    )


async def _asked(request: Callable[[], T]) -> T:
    """`request` in a thread, its failures as ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return await asyncio.to_thread(request)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "NoSuchVersion"):
            raise NotFound(str(error)) from None
        raise StorageError(str(error)) from None
    except BotoCoreError as error:
        raise StorageError(str(error)) from None
