"""Restore to a time, from the versions that a bucket keeps: SeaweedFS and versitygw, and a folder, which has none."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.fixtures_seaweed import Seaweed
from tests.fixtures_versitygw import Versity
from tests.mailpod.store.faults import mail

from mailpod import cli
from mailpod.clock import SystemClock
from mailpod.store import NewMessage, incarnations
from mailpod.store.objects import ObjectStore
from mailpod.store.opening import open_bucket, s3_settings
from mailpod.store.outbound import Outbound, SpoolEntry
from mailpod.store.versions import NoVersions, open_at
from mailpod.tools import restore

from .planted import Planted, plant


@dataclass(slots=True)
class Bucket:
    url: str
    objects: ObjectStore
    client: Any
    name: str
    dates_stay: bool
    """versitygw 1.8.0 (posix) dates the version of a deleted object by its deletion, as if it had not been there."""

    def now(self, objects: str) -> float:
        """Bucket time, to the second as versions have it: of the newest object there is."""
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=objects)["Contents"]
        return float(max(item["LastModified"] for item in found).timestamp())


@pytest.fixture(params=["seaweed", pytest.param("versity", marks=pytest.mark.slow)])
async def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bucket]:
    server: Seaweed | Versity = request.getfixturevalue(request.param)
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)
    client = boto3.client(
        "s3", endpoint_url=server.endpoint, aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key, region_name=server.region,
    )  # fmt: skip
    name = server.new_bucket()
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    url = server.url("pre/fix", bucket=name)
    objects = await open_bucket(url)
    yield Bucket(url, objects, client, name, request.param == "seaweed")
    await objects.close()


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


async def _second(bucket: Bucket, prefix: str) -> float:
    """A moment after which nothing of what was written lies, and before which all of it does."""
    moment = bucket.now(prefix) + 1
    while time.time() < moment + 1.1:  # versions are dated to the second, by a server on this machine
        time.sleep(0.05)  # noqa: ASYNC251  nothing else runs
    return moment


async def _planted(bucket: Bucket) -> tuple[Planted, float]:
    """Mail, then a moment, then what is to be undone: everything expunged, collected, the queue dropped, and more."""
    planted = await plant(bucket.objects)
    outbound = Outbound(bucket.objects, clock=SystemClock(), rng=random.Random(1))
    for entry_id in ("1-dropped", "2-there"):
        await outbound.create(SpoolEntry(entry_id, "a@x.test", ("b@far.example",), time.time()), b"body")
    moment = await _second(bucket, "pre/fix/accounts/")
    account = await planted.store().open(planted.alice)
    box = account.mailbox("INBOX")
    await account.expunge(box, list(box.uids))
    await account.append("INBOX", [NewMessage(mail(99))])
    if bucket.dates_stay:
        (pack,) = await planted.keys("pack/")
        await planted.objects.delete([pack])  # as collection does, a week later
    await outbound.settle("1-dropped")
    return planted, moment


async def test_an_account_and_the_queue_come_back_from_versions(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    planted, moment = await _planted(bucket)
    wanted = argparse.Namespace(
        address="Alice@x.test", bucket=bucket.url, prefix="", credentials_file=None, ca_file=None, json=True,
        to=datetime.fromtimestamp(moment, UTC).isoformat(), last_consistent=False, discard=None, queue=False,
    )  # fmt: skip
    assert await restore.restore_address(wanted) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["messages"], done["lost"], done["commit"]) == (17, [], 15)
    newest = await incarnations.latest(planted.objects, "x.test", "alice")
    assert newest is not None and newest.id == done["new"]["id"]
    again = await open_bucket(bucket.url)
    planted.objects = again
    ref = type(planted.alice)("x.test", "alice", newest.id)
    account = await planted.store().open(ref)
    box = account.mailbox("INBOX")
    texts = [await account.body(page.location(row)) async for page, rows in box.pages(box.uids) for row in rows]
    assert texts == [mail(number, 5000 if number == 12 else 0) for number in range(1, 13)]
    assert await restore.restore_queue(wanted) == 0
    queue = json.loads(capsys.readouterr().out)
    assert queue == {"held": ["1-dropped"] if bucket.dates_stay else [], "settled": [], "there": ["2-there"]}
    wanted.to = datetime.fromtimestamp(moment, UTC).isoformat()  # the same time again: from the first incarnation
    assert await restore.restore_address(wanted) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == 17


async def test_a_bucket_that_keeps_none_or_not_for_so_long(bucket: Bucket) -> None:
    await plant(bucket.objects)
    settings = s3_settings(bucket.url)
    with pytest.raises(NoVersions, match="as old as that"):
        await open_at(settings, "accounts/x.test/alice/", time.time() - 86400)
    bucket.client.create_bucket(Bucket=f"{bucket.name}-plain")
    with pytest.raises(NoVersions, match="never enabled"):
        plain = s3_settings(bucket.url.replace(bucket.name, f"{bucket.name}-plain"))
        await open_at(plain, "accounts/x.test/alice/", time.time())


def test_a_folder_says_that_it_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()

    def run(*more: str) -> tuple[int, str, str]:
        return _run(capsys, "restore", "a@x.test", "--bucket", str(tmp_path / "data"), *more)

    status, _, said = run("--to", "2026-11-23T18:00:00Z")
    assert status == 2 and "a folder keeps no versions" in said and "--last-consistent" in said
    assert run("--to", "2026-11-23T18:00:00")[0] == 2, "a time zone is asked for"
    assert run("--to", "yesterday")[0] == 2
    status, _, said = run("--last-consistent")
    assert status == 2 and "never had an account" in said
