"""The pods' own bucket credentials, with the policy that docs/bucket-access.md publishes (OPERATOR.md rule 33).

A real pod serves mail with them, and whoever has them cannot write the directory.
"""

from __future__ import annotations

import base64
import imaplib
import json
import random
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from argon2 import PasswordHasher
from tests.fixtures_seaweed import Seaweed
from tests.harness.ports import free_port
from tests.mailpod.test_pod import Process

from mailoperator.credentials import Credentials, parse_credentials
from mailpod.clock import SystemClock
from mailpod.directory import AliasEntry, DomainEntry, MailboxEntry, Publisher, open_bucket, public_key

DOCS = Path(__file__).parents[2] / "docs" / "bucket-access.md"
KEY = b"k" * 32
PREFIX = "team/one"
VERBS = {
    "s3:ListBucket": "List", "s3:GetObject": "Read", "s3:PutObject": "Write", "s3:DeleteObject": "Write",
    "s3:AbortMultipartUpload": "Write",
}  # fmt: skip


def published(title: str) -> dict[str, Any]:
    """The policy below a heading."""
    text = DOCS.read_text().partition(f"## {title}\n")[2].partition("\n##")[0]
    lines = [line.removeprefix("    ") for line in text.splitlines() if line.startswith("    ")]
    return dict(json.loads("\n".join(lines)))


def as_seaweed(policy: dict[str, Any], bucket: str) -> list[str]:
    """The same in SeaweedFS's words: `Write:bucket/prefix/*`."""
    found = []
    for statement in policy["Statement"]:
        for resource in statement["Resource"]:
            place = resource.removeprefix("arn:aws:s3:::").replace("BUCKET", bucket).replace("PREFIX", PREFIX)
            found += [f"{VERBS[action]}:{place}" for action in statement["Action"]]
    return sorted(set(found))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Seaweed]:
    made = Seaweed(tmp_path / "weed")
    credentials = [{"accessKey": "pods", "secretKey": "not-a-secret-only-pods"}]
    actions = as_seaweed(published("The pods"), made.bucket)
    made.identities.append({"name": "pods", "credentials": credentials, "actions": actions})
    try:
        yield made.start()
    finally:
        made.stop()


async def directory(server: Seaweed, folder: Path) -> None:
    """What the operator publishes: alice, bob, and an alias of both."""
    file = folder / "operators"
    file.write_text(Credentials(server.access_key, server.secret_key).file())
    objects = await open_bucket(server.url(PREFIX), credentials_file=file)
    verifier = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("right")
    boxes = [
        MailboxEntry(address=f"{name}@x.test", domain="x.test", local=name, verifiers=(verifier,), owner=name)
        for name in ("alice", "bob")
    ]
    team = AliasEntry(
        address="team@x.test", domain="x.test", local="team", targets=("alice@x.test", "bob@x.test"), owner="t"
    )
    entry = DomainEntry(name="x.test", hostname="mx.x.test", max_message_bytes=10**7, owner="d")
    await Publisher(objects, signing_key=KEY, clock=SystemClock(), rng=random.Random(1)).publish([*boxes, team, entry])


async def test_33_pods_serve_mail_and_cannot_write_the_directory(server: Seaweed, tmp_path: Path) -> None:
    await directory(server, tmp_path)
    values = {
        "accessKeyID": server.access_key, "secretAccessKey": server.secret_key,
        "podAccessKeyID": "pods", "podSecretAccessKey": "not-a-secret-only-pods",
    }  # fmt: skip
    found = parse_credentials({name: value.encode() for name, value in values.items()})
    assert found.pods is not None and server.secret_key not in found.pods.file()
    (tmp_path / "pods").write_text(found.pods.file())
    serve_mail(server, tmp_path)

    s3 = boto3.client(
        "s3", endpoint_url=server.endpoint, region_name=server.region, aws_access_key_id=found.pods.access_key_id,
        aws_secret_access_key=found.pods.secret_access_key,
    )  # fmt: skip
    place = {"Bucket": server.bucket}
    names = ("alice/address", "!domain", "!owner", "alice/incarnation/0000000002", "mallory/address")
    victims = [f"{PREFIX}/directory/x.test/{name}" for name in names]
    for key in [*victims, ".mailpod/claims/team%2Fone", "team/two/accounts/y.test/a/b/log/1"]:
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            s3.put_object(**place, Key=key, Body=b"mallory's")
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            s3.delete_object(**place, Key=key)
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        s3.get_object(**place, Key="team/two/accounts/y.test/a/b/log/1")
    assert b"mallory" not in s3.get_object(**place, Key=victims[0])["Body"].read()


def serve_mail(server: Seaweed, folder: Path) -> None:
    """A pod with nothing but the pods' credentials: mail for one and for two, read, flagged and expunged."""
    http, smtp, imap = free_port(), free_port(), free_port()
    plain = {"host": "127.0.0.1", "tls": "none"}
    pod = Process(
        folder,
        bucket={"url": server.url(PREFIX), "credentials_file": str(folder / "pods")},
        directory_keys=[base64.b64encode(public_key(KEY)).decode()],
        listeners=[
            {"protocol": "http", "port": http, **plain},
            {"protocol": "smtp", "role": "mx", "port": smtp, **plain},
            {"protocol": "imap", "port": imap, **plain},
        ],
    )
    pod.http = http
    try:
        pod.wait_ready()
        with smtplib.SMTP("127.0.0.1", smtp) as client:
            client.sendmail("someone@example.com", ["alice@x.test"], "Subject: one\r\n\r\nHello.\r\n")
            client.sendmail("someone@example.com", ["team@x.test"], "Subject: two\r\n\r\nHello.\r\n")
        with imaplib.IMAP4("127.0.0.1", imap) as session:
            session.login("alice@x.test", "right")
            deadline = time.monotonic() + 60
            while session.select("INBOX")[1] != [b"2"]:  # the second is handed out after its 250
                assert time.monotonic() < deadline, pod.events()
                time.sleep(0.2)
            assert session.store("1", "+FLAGS", "\\Deleted")[0] == "OK"
            assert session.expunge() == ("OK", [b"1"])
    finally:
        pod.process.kill()
        pod.process.wait()
        pod.log.close()


def test_33_the_published_policies_differ_in_what_matters() -> None:
    def writable(title: str) -> set[str]:
        statements = published(title)["Statement"]
        return {each for one in statements if "s3:PutObject" in one["Action"] for each in one["Resource"]}

    assert not any("directory" in each or each.endswith(("PREFIX/*", "BUCKET/*")) for each in writable("The pods"))
    assert "arn:aws:s3:::BUCKET/PREFIX/*" in writable("The operator")
    assert all(one["Effect"] == "Allow" for one in published("The pods")["Statement"])
    with pytest.raises(ValueError, match="go together"):
        parse_credentials({"accessKeyID": b"a", "secretAccessKey": b"b", "podAccessKeyID": b"c"})
