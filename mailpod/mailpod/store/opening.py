"""From what a person writes, a path or a URL, to the bucket that it names."""

from __future__ import annotations

import asyncio
import os
import random
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from mailpod.store.folder import FolderObjects
from mailpod.store.memory import MemoryObjects
from mailpod.store.s3 import S3Objects, S3Settings

if TYPE_CHECKING:
    from mailpod.clock import Clock
    from mailpod.store.objects import ObjectStore


async def open_bucket(
    url: str,
    *,
    credentials_file: Path | None = None,
    ca_file: Path | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> ObjectStore:
    """Open `/a/path` or `file:///a/path`, `s3://bucket/prefix?endpoint=URL&region=NAME`, or `memory:`.

    Further settings of S3Settings may stand in the query (`?request_timeout=5`). Without `credentials_file` (or
    AWS_SHARED_CREDENTIALS_FILE) the AWS_* variables count. A memory bucket is a new one each time. Raises ValueError
    for what is none of these, OSError where a folder cannot be written.
    """
    if url == "memory:":
        return MemoryObjects(clock)
    if url.startswith("s3://"):
        return S3Objects(s3_settings(url, credentials_file, ca_file), clock=clock, rng=rng)
    if url.startswith("file://"):
        url = unquote(urlsplit(url).path)
    elif not url or "://" in url:
        raise ValueError(f"not a bucket: {url!r}; it is a path, s3://bucket/prefix?endpoint=…, or memory:")
    return await asyncio.to_thread(partial(FolderObjects, url, clock=clock))


def s3_settings(url: str, credentials_file: Path | None = None, ca_file: Path | None = None) -> S3Settings:
    """The settings in an `s3://` URL. Raises ValueError, which names what is wrong."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into a bucket's URL: use AWS_* variables or a credentials file")
    shared = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    given: dict[str, object] = {
        "bucket": parts.netloc,
        "prefix": unquote(parts.path).strip("/"),
        "credentials_file": credentials_file or (Path(shared) if shared else None),
        "ca_file": ca_file,
    }
    if not parts.netloc:
        raise ValueError(f"no bucket's name in {url!r}")
    return S3Settings.model_validate(given | dict(parse_qsl(parts.query, strict_parsing=bool(parts.query))))
