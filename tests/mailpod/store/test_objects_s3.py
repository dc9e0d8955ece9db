"""What an S3 server's answers mean: on a SeaweedFS that is stopped and killed, and on a server told what to say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from obstore.exceptions import GenericError
from tests.fixtures_seaweed import Seaweed

from mailpod.store import s3_answers
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, StorageError
from mailpod.store.opening import open_bucket, s3_settings
from mailpod.store.s3 import S3Objects, S3Settings


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", Seaweed.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", Seaweed.secret_key)


def _client(server: Seaweed) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    )


async def test_another_client_sees_the_same_keys(seaweed: Seaweed) -> None:
    objects = await open_bucket(seaweed.url("deep/prefix"))
    keys = ["accounts/x/a%2Bb/log/1", "accounts/x/%2E/log/1", "directory/x/!domain", "accounts/x/%C3%BC/1"]
    for key in keys:
        await objects.create(key, [key.encode()])
    client = _client(seaweed)
    for key in keys:
        found = client.get_object(Bucket=seaweed.bucket, Key=f"deep/prefix/{key}")
        assert found["Body"].read() == key.encode()
    listed = client.list_objects_v2(Bucket=seaweed.bucket, Prefix="deep/prefix/")["Contents"]
    assert {entry["Key"] for entry in listed} == {f"deep/prefix/{key}" for key in keys}
    client.put_object(Bucket=seaweed.bucket, Key="deep/prefix/accounts/x/a%2Bb/log/2", Body=b"theirs")
    assert await objects.get("accounts/x/a%2Bb/log/2") == b"theirs"


async def test_a_hung_and_a_dead_server(tmp_path: Path) -> None:
    server = Seaweed(tmp_path).start()
    try:
        objects = await open_bucket(f"{server.url()}&request_timeout=1&read_deadline=1.5")
        await objects.create("a/1", [b"x"])
        server.pause()
        with pytest.raises(Ambiguous):
            await objects.create("a/2", [b"x"])
        with pytest.raises(Ambiguous):
            await objects.put("a/3", [b"x"])
        with pytest.raises(StorageError):
            await objects.get("a/1")
        with pytest.raises(StorageError):
            await objects.list("a/")
        server.resume()
        assert await objects.get("a/1") == b"x"
        server.stop()
        with pytest.raises(StorageError):
            await objects.create("a/4", [b"x"])  # nothing listens: certainly not written
        with pytest.raises(StorageError):
            await objects.get("a/1")
    finally:
        server.stop()


async def test_a_missing_bucket_is_not_an_empty_one(seaweed: Seaweed) -> None:
    objects = await open_bucket(seaweed.url(bucket="no-such-bucket"))
    with pytest.raises(StorageError, match="NoSuchBucket"):
        await objects.get("a/1")
    with pytest.raises(StorageError, match="NoSuchBucket"):
        await objects.list("a/")


def _credentials(path: Path, secret: str) -> None:
    path.write_text(f"[default]\naws_access_key_id = {Seaweed.access_key}\naws_secret_access_key = {secret}\n")


async def test_changed_credentials_are_taken_up_when_the_server_refuses(seaweed: Seaweed, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    _credentials(path, "wrong")
    objects = await open_bucket(seaweed.url("rotated"), credentials_file=path)
    with pytest.raises(StorageError) as refused:
        await objects.create("a/1", [b"x"])
    assert Seaweed.access_key not in str(refused.value)
    _credentials(path, Seaweed.secret_key)
    await objects.create("a/1", [b"x"])
    _credentials(path, "wrong")
    assert await objects.get("a/1") == b"x"  # what is in use is used until it is refused


Answer = Callable[[str], bytes | None]  # from the request's method to what is sent; None: the connection is cut


def _answer(status: str, body: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@asynccontextmanager
async def _server(answer: Answer) -> AsyncIterator[tuple[S3Objects, list[str]]]:
    """An S3 server that says what it is told, a store on it, and the requests that it got."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        requests.append(head)
        for line in head.lower().split("\r\n"):
            if line.startswith("content-length:"):
                await reader.readexactly(int(line.split(":")[1]))
        said = answer(head.split(" ")[0])
        if said is not None:
            writer.write(said)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    settings = S3Settings(
        bucket="b", endpoint=f"http://127.0.0.1:{port}", read_deadline=0.5, request_timeout=2, retry_base=0.01
    )
    async with listening:
        yield S3Objects(settings, rng=random.Random(1)), requests


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, Ambiguous),
        (_answer("412 Precondition Failed", "<Error><Code>PreconditionFailed</Code></Error>"), AlreadyExists),
        (_answer("409 Conflict", "<Error><Code>ConditionalRequestConflict</Code></Error>"), Ambiguous),
        (_answer("500 Internal Server Error", "<Error><Code>InternalError</Code></Error>"), Ambiguous),
        (_answer("502 Bad Gateway"), Ambiguous),
        (_answer("503 Service Unavailable"), Ambiguous),
        (_answer("503 Slow Down", "<Error><Code>SlowDown</Code></Error>"), StorageError),
        (_answer("504 Gateway Timeout"), Ambiguous),
        (_answer("408 Request Timeout"), Ambiguous),
        (_answer("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>"), StorageError),
        (_answer("404 Not Found", "<Error><Code>NoSuchBucket</Code></Error>"), StorageError),
        (_answer("429 Too Many Requests"), StorageError),
        (_answer("501 Not Implemented", "<Error><Code>NotImplemented</Code></Error>"), StorageError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Ambiguous),
    ],
)
async def test_a_create_is_sent_once_and_its_answer_is_taken_exactly(
    said: bytes | None, expected: type[Exception]
) -> None:
    async with _server(lambda method: said) as (objects, requests):
        with pytest.raises(expected):
            await objects.create("a/1", [b"x"])
        assert len(requests) == 1
        assert "if-none-match: *" in requests[0].lower()


async def test_a_read_is_tried_again_until_it_succeeds_or_its_time_is_up() -> None:
    said = [None, _answer("500 Internal Server Error"), _answer("503 Slow Down")]
    found = (
        b'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: "e"\r\nLast-Modified: Mon, 23 Nov 2026 18:00:00 GMT\r\n\r\nx'
    )
    async with _server(lambda method: said.pop(0) if said else found) as (objects, requests):
        assert await objects.get("a/1") == b"x"
        assert len(requests) == 4
    async with _server(lambda method: _answer("503 Slow Down")) as (objects, requests):
        with pytest.raises(StorageError):
            await objects.get("a/1")
        assert len(requests) > 4


async def test_only_a_missing_key_is_not_found() -> None:
    async with _server(lambda method: _answer("404 Not Found", "<html>default backend</html>")) as (objects, _):
        with pytest.raises(StorageError):
            await objects.get("a/1")
    missing = _answer("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>")
    async with _server(lambda method: missing) as (objects, requests):
        with pytest.raises(NotFound):
            await objects.get("a/1")
        assert len(requests) == 1


def test_a_log_line_has_nothing_of_the_servers_text() -> None:
    text = "Error performing GET http://h/b/k in 1ms - Server returned non-2xx status code: 403 Forbidden: <?xml?>\n"
    error = GenericError(f"{text}<Error><Code>AccessDenied</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>")
    assert s3_answers.brief(error).endswith("403 Forbidden AccessDenied")


def test_settings_from_a_url(tmp_path: Path) -> None:
    settings = s3_settings("s3://b/some/prefix/?endpoint=http://h:1&region=eu-1&request_timeout=5", tmp_path / "c")
    assert settings == S3Settings(
        bucket="b",
        prefix="some/prefix",
        endpoint="http://h:1",
        region="eu-1",
        request_timeout=5,
        credentials_file=tmp_path / "c",
    )
    for wrong in ("s3://", "s3://k:s@b/", "s3://b/?nonsense=1", "s3://b/?request_timeout=no"):
        with pytest.raises(ValueError):
            s3_settings(wrong)


async def test_buckets_by_name(tmp_path: Path) -> None:
    assert isinstance(await open_bucket("memory:"), MemoryObjects)
    folder = await open_bucket(f"file://{tmp_path}/with%20space")
    await folder.create("a", [b"x"])
    await folder.close()
    assert (tmp_path / "with space/a").read_bytes() == b"x"
    for wrong in ("", "gs://b", "http://h/b"):
        with pytest.raises(ValueError, match="not a bucket"):
            await open_bucket(wrong)


@pytest.mark.parametrize("text", ["", "[default]\naws_access_key_id = a\n", "aws_secret_access_key = hidden", "[x"])
async def test_a_credentials_file_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "c").write_text(text)
    with pytest.raises(ValueError, match="not a credentials file") as wrong:
        await open_bucket("s3://b", credentials_file=tmp_path / "c")
    assert "hidden" not in str(wrong.value)
