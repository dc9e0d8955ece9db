"""The bucket in the wild: credentials that expire, clocks that are off, answers cut short, servers overloaded."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.mailpod.store.fake_s3 import Request, answer, error, fake_s3, found
from tests.mailpod.store.faults import FakeClock

from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, StorageError


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def _write(path: Path, key: str) -> None:
    path.write_text(
        f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = token-of-{key}\n"
    )


EXPIRED = ["400 Bad Request ExpiredToken", "400 Bad Request InvalidToken", "403 Forbidden InvalidAccessKeyId"]


@pytest.mark.parametrize("how", EXPIRED)
async def test_expired_credentials_are_read_again_from_the_mounted_file(tmp_path: Path, how: str) -> None:
    status, _, code = how.rpartition(" ")
    path = tmp_path / "credentials"
    _write(path, "old")

    def say(request: Request) -> bytes:
        if request.access_key != "new" or request.headers.get("x-amz-security-token") != "token-of-new":
            return error(status, code)
        return found(b"x")

    async with fake_s3(say) as fake:
        objects = fake.objects(credentials_file=path, read_deadline=0.2)
        with pytest.raises(StorageError, match=code):
            await objects.create("a/1", [b"x"])
        with pytest.raises(StorageError, match=code):
            await objects.get("a/1")
        assert len(fake.requests) == 2, "the file is the same: nothing else is worth trying"
        _write(path, "new")
        await objects.create("a/1", [b"x"])
        assert [request.access_key for request in fake.requests[2:]] == ["old", "new"]
        _write(path, "old")
        assert await objects.get("a/1") == b"x", "what is in use is used until it is refused"


async def test_a_credentials_file_that_is_being_replaced_is_no_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    _write(path, "old")
    async with fake_s3(lambda request: error("400 Bad Request", "ExpiredToken")) as fake:
        objects = fake.objects(credentials_file=path)
        path.unlink()
        with pytest.raises(StorageError, match="ExpiredToken"):
            await objects.get("a/1")
        path.write_text("half a fi")
        with pytest.raises(StorageError, match="ExpiredToken"):
            await objects.create("a/1", [b"x"])


async def test_a_clock_that_is_off_is_named_and_passes_when_it_is_set() -> None:
    skewed = error("403 Forbidden", "RequestTimeTooSkewed")
    said = [skewed, skewed, found(b"x")]
    async with fake_s3(lambda request: said.pop(0)) as fake:
        assert await fake.objects().get("a/1") == b"x"
        assert len(fake.requests) == 3
    async with fake_s3(lambda request: skewed) as fake:
        with pytest.raises(StorageError, match="RequestTimeTooSkewed"):  # certainly not written
            await fake.objects().create("a/1", [b"x"])
        assert len(fake.requests) == 1


async def test_waits_between_tries_have_jitter_grow_and_end_at_the_deadline() -> None:
    waits: list[float] = []

    class Clock(FakeClock):
        async def sleep(self, seconds: float) -> None:
            waits.append(seconds)
            await super().sleep(seconds)

    clock = Clock()
    began = clock.elapsed()
    async with fake_s3(lambda request: error("503 Slow Down", "SlowDown")) as fake:
        objects = fake.objects(clock=clock, rng=random.Random(5), read_deadline=10.0, retry_base=0.05, retry_cap=2.0)
        with pytest.raises(StorageError, match="SlowDown"):
            await objects.get("a/1")
    assert clock.elapsed() - began <= 10.0
    assert max(waits) <= 2.0 and len(set(waits)) == len(waits) > 5
    assert sum(waits[:3]) < sum(waits[-3:])
    again: list[float] = []
    waits, again = again, waits
    async with fake_s3(lambda request: error("503 Slow Down", "SlowDown")) as fake:
        objects = fake.objects(clock=clock, rng=random.Random(6), read_deadline=10.0, retry_base=0.05, retry_cap=2.0)
        with pytest.raises(StorageError):
            await objects.get("a/1")
    assert waits != again, "two pods do not come back at once"


async def test_a_body_that_is_cut_short_is_read_again() -> None:
    said = [found(b"01234", length=10), found(b"0123456789")]
    async with fake_s3(lambda request: said.pop(0)) as fake:
        assert await fake.objects().get("a/1") == b"0123456789"
        assert len(fake.requests) == 2


def _listing(keys: list[str], token: str) -> bytes:
    inside = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-23T18:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        f"<Size>1</Size></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = "true" if token else "false"
    return answer(
        "200 OK", f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{inside}</ListBucketResult>"
    )


async def test_a_listing_that_fails_on_its_second_page_is_whole_or_an_error() -> None:
    failures = [True, False]

    def say(request: Request) -> bytes:
        if "continuation-token" not in request.path:
            return _listing([f"log/{number:04d}" for number in range(1000)], "t")
        return error("500 Internal Server Error", "InternalError") if failures.pop(0) else _listing(["log/1000"], "")

    async with fake_s3(say) as fake:
        assert len(await fake.objects().list("log/")) == 1001
        assert len(fake.requests) == 4
    failures = [True] * 1000
    async with fake_s3(say) as fake:
        with pytest.raises(StorageError):
            await fake.objects(read_deadline=0.2).list("log/")


async def _pieces() -> AsyncIterator[Buffer]:
    for _ in range(3):
        yield b"x" * (5 << 20)


async def test_a_multipart_upload_that_is_completed_with_200_and_an_error_is_not_taken_for_written() -> None:
    def say(request: Request) -> bytes:
        if request.method == "POST" and "uploads" in request.path:
            return answer(
                "200 OK", "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            )
        if request.method == "POST":
            return error("200 OK", "InternalError")  # S3's documentation of CompleteMultipartUpload
        return answer("200 OK", ETag='"e"') if request.method == "PUT" else error("404 Not Found", "NoSuchKey")

    async with fake_s3(say) as fake:
        with pytest.raises((Ambiguous, StorageError)):
            await fake.objects(part_bytes=5 << 20).upload("pack/1", _pieces())
        assert any(request.method == "PUT" and len(request.body) == 5 << 20 for request in fake.requests)


async def test_409_and_412_are_told_apart() -> None:
    said = [error("409 Conflict", "ConditionalRequestConflict"), error("412 Precondition Failed", "PreconditionFailed")]
    async with fake_s3(lambda request: said.pop(0)) as fake:
        with pytest.raises(Ambiguous):
            await fake.objects().create("a/1", [b"x"])
        with pytest.raises(AlreadyExists):
            await fake.objects().create("a/1", [b"x"])
        assert [request.headers["if-none-match"] for request in fake.requests] == ["*", "*"]
