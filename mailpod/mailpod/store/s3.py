"""A bucket on S3 or what speaks like it, through obstore (Rust's object_store).

- A write is sent once: object_store's own retries are off, since the second try of a conditional PUT whose first
  one landed would say "exists" of our own object. What is not certain is Ambiguous, and the caller reads it back.
- A read is tried again, with jitter, until `read_deadline`.
- 404 is NotFound only when the server says that it is the key that is missing: a lost bucket is not an empty one.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store
from pydantic import BaseModel, ConfigDict, Field

from mailpod.clock import Clock, SystemClock
from mailpod.logs import event
from mailpod.store.objects import AlreadyExists, Buffer, Entry, NotFound, StorageError
from mailpod.store.s3_answers import brief, code, may_pass, refused, status, write_error
from mailpod.store.s3_credentials import read_credentials

T = TypeVar("T")

_PAGE: Final = 1000  # S3's own limit of a listing's page
_FAILED: Final = (BaseError, OSError)


class S3Settings(BaseModel):
    """Where a bucket is and how long to wait for it. Times in seconds, sizes in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket: str
    prefix: str = Field("", description="all keys are below it; without slashes at its ends")
    endpoint: str | None = Field(None, description="URL of the server; AWS's own when it is not given")
    region: str = "us-east-1"
    credentials_file: Path | None = Field(
        None, description="AWS's shared credentials file, read again when the server refuses; else AWS_* variables"
    )
    ca_file: Path | None = Field(None, description="PEM certificates to trust besides the system's")
    connect_timeout: float = Field(5.0, gt=0)
    request_timeout: float = Field(10.0, gt=0, description="of one request, with its body")
    read_deadline: float = Field(10.0, gt=0, description="after which a read is not tried again")
    retry_base: float = Field(0.05, gt=0, description="longest first wait between two tries; doubles")
    retry_cap: float = Field(2.0, gt=0, description="longest wait between two tries")
    part_bytes: int = Field(8 << 20, ge=5 << 20, description="a part of a multipart upload")


class S3Objects:
    """ObjectStore in a bucket, or below a prefix of it. One for a process: it holds the connections."""

    def __init__(self, settings: S3Settings, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 -- jitter
        self._credentials = read_credentials(settings.credentials_file)
        self._store, self._parts = self._connect()

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        await self._write(key, data, "create")

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        await self._write(key, data, "overwrite")

    async def get(self, key: str) -> bytes:
        return (await self.get_with_time(key))[0]

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        async def attempt(store: S3Store) -> bytes:
            if start >= end:
                await obstore.head_async(store, key)
                return b""
            try:
                return bytes(await obstore.get_range_async(store, key, start=start, end=end))
            except BaseError as error:
                if status(error) == 416:  # RFC 9110 §15.5.17: it begins after the end
                    return b""
                raise

        return await self._read(key, attempt)

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        async def attempt(store: S3Store) -> tuple[bytes, int]:
            try:
                found = await obstore.get_async(store, key, options={"range": (0, max(size, 1))})
            except BaseError as error:
                if status(error) == 416:  # an empty object has no first byte
                    return b"", 0
                raise
            return bytes(await found.bytes_async())[:size], found.meta["size"]

        return await self._read(key, attempt)

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        async def attempt(store: S3Store) -> tuple[bytes, float]:
            found = await obstore.get_async(store, key)
            return bytes(await found.bytes_async()), found.meta["last_modified"].timestamp()

        return await self._read(key, attempt)

    async def list_folders(self, prefix: str) -> list[str]:
        async def attempt(store: S3Store) -> list[str]:
            found = await obstore.list_with_delimiter_async(store, _folder(prefix))
            return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

        return await self._read(prefix, attempt)

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._read("a deletion", lambda store: obstore.delete_async(store, keys))  # as safe to repeat

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        """As ObjectStore's. More than one part is not created atomically but after a look: names are used once."""
        pieces: list[Buffer] = []
        size = 0
        async for piece in data:
            pieces.append(bytes(piece))
            size += len(piece)
            if size >= self._settings.part_bytes:
                return await self._upload_parts(key, pieces, data)
        await self.create(key, pieces)
        return size

    async def close(self) -> None:
        """Nothing: connections close with the last reference."""

    async def _upload_parts(self, key: str, first: Sequence[Buffer], rest: AsyncIterator[Buffer]) -> int:
        with suppress(NotFound):
            await self.get_range(key, 0, 0)
            raise AlreadyExists(key)
        size = 0
        failures: list[BaseException] = []

        async def pieces() -> AsyncIterator[Buffer]:
            nonlocal size
            for piece in first:
                size += len(piece)
                yield piece
            try:
                async for piece in rest:
                    size += len(piece)
                    yield bytes(piece)
            except BaseException as error:
                failures.append(error)
                raise

        try:
            await obstore.put_async(
                self._parts, key, pieces(), use_multipart=True, chunk_size=self._settings.part_bytes, max_concurrency=4
            )
        except _FAILED as error:
            raise (failures[0] if failures else write_error(key, error)) from None
        return size

    async def _write(self, key: str, data: Sequence[Buffer], mode: obstore.PutMode) -> None:
        body = data[0] if len(data) == 1 else b"".join(data)
        try:
            try:
                await obstore.put_async(self._store, key, body, mode=mode, use_multipart=False)
            except _FAILED as error:
                if not (refused(error) and self._renewed()):  # certainly not written, so it may be sent again
                    raise
                await obstore.put_async(self._store, key, body, mode=mode, use_multipart=False)
        except _FAILED as error:
            raise write_error(key, error) from None

    async def _read(self, key: str, attempt: Callable[[S3Store], Awaitable[T]]) -> T:
        deadline = self._clock.elapsed() + self._settings.read_deadline
        wait = self._settings.retry_base
        while True:
            try:
                return await attempt(self._store)
            except FileNotFoundError as error:
                if code(error) in ("NoSuchKey", "HEAD"):
                    raise NotFound(key) from None
                raise StorageError(brief(error)) from None
            except _FAILED as error:
                renewed = refused(error) and self._renewed()
                pause = self._rng.uniform(0, wait)
                if not (renewed or may_pass(error)) or self._clock.elapsed() + pause > deadline:
                    raise StorageError(brief(error)) from None
            await self._clock.sleep(pause)
            wait = min(2 * wait, self._settings.retry_cap)

    def _renewed(self) -> bool:
        """After a refusal: whether the credentials' file has changed; then the new ones are in use."""
        try:
            found = read_credentials(self._settings.credentials_file)
        except (OSError, ValueError) as error:
            event("bucket.credentials.unreadable", level="warning", error=str(error))
            return False  # it is being replaced, or is wrong: what is in use stays
        if found == self._credentials:
            return False
        self._credentials = found
        self._store, self._parts = self._connect()
        return True

    def _connect(self) -> tuple[S3Store, S3Store]:
        """One store that never repeats a request, and one that does, for parts of uploads under names used once."""
        return self._client(0), self._client(5)

    def _client(self, retries: int) -> S3Store:
        settings = self._settings
        config: obstore.store.S3Config = {"region": settings.region, **self._credentials}
        if settings.endpoint:
            config["endpoint"] = settings.endpoint
        options: obstore.store.ClientConfig = {
            "allow_http": (settings.endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=settings.connect_timeout),
            "timeout": timedelta(seconds=settings.request_timeout),
        }
        if settings.ca_file:
            options["root_certificate"] = settings.ca_file.read_bytes()
        return S3Store(
            settings.bucket,
            prefix=settings.prefix or None,
            config=config,
            client_options=options,
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=settings.read_deadline)},
        )

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """As ObjectStore's. SeaweedFS orders by folder: with `after` or `limit` it is exact where a folder is flat."""

        async def attempt(store: S3Store) -> list[Entry]:
            found: list[Entry] = []
            if limit == 0:
                return found
            size = min(limit or _PAGE, _PAGE)
            async for page in obstore.list(store, _folder(prefix), offset=after or None, chunk_size=size):
                found += map(_entry, page)
                if limit is not None and len(found) >= limit:
                    break
            return found[:limit] if after or limit else sorted(found, key=lambda entry: entry.key)

        return await self._read(prefix, attempt)


def _entry(found: obstore.ObjectMeta) -> Entry:
    return Entry(
        found["path"], found["size"], found["last_modified"].timestamp(), (found["e_tag"] or "").strip('"').lower()
    )


def _folder(prefix: str) -> str | None:
    if prefix and not prefix.endswith("/"):
        raise ValueError(f"a prefix ends with a slash: {prefix!r}")
    return prefix[:-1] or None
