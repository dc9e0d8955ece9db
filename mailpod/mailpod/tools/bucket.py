"""Which bucket a tool works on, from its command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from mailpod.store.objects import ObjectStore
from mailpod.store.opening import open_bucket


class CannotRun(Exception):
    """The tool cannot do its work; the text says why, for the person at the terminal. Exit status 2."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """`objects` below the prefix; `root` the whole bucket, None where that cannot be opened."""

    objects: ObjectStore
    root: ObjectStore
    url: str
    """With the prefix."""


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the bucket")
    group.add_argument(
        "--bucket", required=True, metavar="DIR|URL", help="a folder, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME"
    )
    group.add_argument("--prefix", default="", metavar="P", help="look only below this prefix of it")
    group.add_argument("--credentials-file", type=Path, metavar="FILE", help="AWS's format; else AWS_* variables")
    group.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust, PEM")


async def open_both(options: argparse.Namespace) -> Bucket:
    """Raises CannotRun. A folder is not made: a mistyped path is not an empty bucket."""
    url, root_url = with_prefix(options.bucket, options.prefix)
    folder = _folder(url)
    if folder is not None and not folder.is_dir():
        raise CannotRun(f"there is no folder {folder}")
    try:
        files = {"credentials_file": options.credentials_file, "ca_file": options.ca_file}
        objects = await open_bucket(url, **files)
        return Bucket(objects, objects if root_url == url else await open_bucket(root_url, **files), url)
    except (ValueError, OSError) as error:
        raise CannotRun(f"the bucket cannot be opened: {error}") from None


def with_prefix(bucket: str, prefix: str) -> tuple[str, str]:
    """The URL with `prefix` in it, and that of the whole bucket. A folder given without --prefix is a whole bucket."""
    prefix = prefix.strip("/")
    if not bucket.startswith("s3://"):
        return (f"{bucket.rstrip('/')}/{prefix}" if prefix else bucket), bucket
    parts = urlsplit(bucket)
    path = "/".join(filter(None, [parts.path.strip("/"), quote(prefix)]))
    return urlunsplit(parts._replace(path=f"/{path}")), urlunsplit(parts._replace(path="/"))


def _folder(url: str) -> Path | None:
    if url.startswith("file://"):
        return Path(urlsplit(url).path)
    return None if "://" in url or url == "memory:" else Path(url)
