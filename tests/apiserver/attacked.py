"""`town`: an operator, an API server and a bucket to attack, and what a pod that starts now makes of its victims."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.apiserver.conftest import need_apiserver
from tests.apiserver.harness import ApiServer
from tests.apiserver.operatorrun import OperatorRun, Raw, domain, mailbox
from tests.apiserver.shortproxy import ShortProxy
from tests.fixtures_seaweed import Seaweed

from mailpod.clock import SystemClock
from mailpod.directory import Directory, MailboxEntry, open_bucket, public_key
from mailpod.errors import Unavailable

CRDS = Path(__file__).parents[2] / "crds"
MANY = [f"m{number:02}" for number in range(12)]
ALICE = "directory/d.test/alice/address"
BOB = "directory/d.test/bob/address"


class Town(OperatorRun):
    """An operator that sweeps all the time, behind a proxy; a domain `d` with alice, bob and a dozen more."""

    def __init__(self, server: ApiServer, bucket: Seaweed, proxy: ShortProxy, namespace: str, folder: Path) -> None:
        self.place = bucket.new_bucket()
        self.proxy = proxy
        super().__init__(server, bucket, namespace, folder)
        self._credentials = folder / "credentials"
        keys = f"aws_access_key_id = {bucket.access_key}\naws_secret_access_key = {bucket.secret_key}"
        self._credentials.write_text(f"[default]\n{keys}\n")
        self.s3 = boto3.client(
            "s3", endpoint_url=bucket.endpoint, aws_access_key_id=bucket.access_key,
            aws_secret_access_key=bucket.secret_key, region_name=bucket.region,
        )  # fmt: skip

    def _settings(self) -> Raw:
        settings = super()._settings()
        storage = settings["defaultStorage"] | {"bucket": self.place}
        return settings | {"sweepSeconds": 2, "defaultStorage": storage, "workers": 8}

    @property
    def _kubeconfig(self) -> Path:
        return self.proxy.kubeconfig

    def storage(self, **more: Any) -> Raw:
        """`server` of a MailDomain with storage of its own in the same bucket."""
        given = {
            "bucket": self.place, "endpoint": self.bucket.endpoint, "region": self.bucket.region,
            "credentialsSecretRef": {"name": "s3"}, "provisioning": "Adopt",
        }  # fmt: skip
        return {"replicas": 1, "storage": {name: value for name, value in (given | more).items() if value is not None}}

    def secret(self, name: str, data: dict[str, bytes], *, use: str = "", type: str = "Opaque") -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        metadata = {"name": name, "labels": {"mailpod.dev/use": use} if use else {}}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": encoded})

    def names(self, kind: str) -> set[str]:
        return {raw["metadata"]["name"] for raw in self.listed(kind)}

    # the bucket

    @property
    def prefix(self) -> str:
        return f"{self.namespace}/d/"

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.place, Key=self.prefix + key)["Body"].read())

    def write(self, key: str, data: bytes) -> None:
        """As anyone could who can write the bucket."""
        self.s3.put_object(Bucket=self.place, Key=self.prefix + key, Body=data)

    def stored(self) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.place)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    def mail(self) -> set[str]:
        """All keys but the claims."""
        return {key for key in self.stored() if not key.startswith(".mailpod/")}

    def claims(self) -> set[str]:
        return {key for key in self.stored() if key.startswith(".mailpod/claims/")}

    def signing_key(self) -> bytes:
        found = self.get("secret", "mailpod-signing-key")["data"]["signing.key"]
        return base64.b64decode(found)

    def seen_by_a_pod(self, address: str) -> MailboxEntry | None:
        """What a pod that starts now makes of an address. Raises Unavailable."""

        async def look() -> MailboxEntry | None:
            url = self.bucket.url(self.prefix.strip("/"), self.place)
            objects = await open_bucket(url, credentials_file=self._credentials)
            return await Directory(objects, public_keys=[public_key(self.signing_key())], clock=SystemClock()).lookup(
                address
            )

        return asyncio.run(look())

    def is_true(self, entry: MailboxEntry) -> bool:
        """Whether a pod that starts now finds just this, but for its version."""
        try:
            found = self.seen_by_a_pod(entry.address)
        except Unavailable:
            return False
        return found is not None and (found.owner, found.verifiers) == (entry.owner, entry.verifiers)

    # what is asked of an attack

    def refused(self, kind: str, name: str, type: str, reason: str) -> str:
        """Wait until the operator says so; its words."""
        self.wait(
            f"{kind} {name} {type} {reason}",
            lambda: (
                (self.condition(kind, name, type)["status"], self.condition(kind, name, type)["reason"])
                == ("False", reason)
            ),
        )
        return str(self.condition(kind, name, type)["message"])

    def remove(self, kind: str, *names: str) -> None:
        self.server.kubectl("delete", kind, *names, "-n", self.namespace, "--timeout=60s")


@pytest.fixture(scope="module")
def town(
    request: pytest.FixtureRequest, apiserver: ApiServer, seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """In the namespace that the module names."""
    need_apiserver()
    namespace = str(request.module.NAMESPACE)
    apiserver.kubectl("apply", "--server-side", "-f", CRDS)
    apiserver.kubectl("create", "namespace", namespace)
    folder = tmp_path_factory.mktemp(namespace)
    with ShortProxy(apiserver, folder) as proxy, Town(apiserver, seaweed, proxy, namespace, folder) as made:
        made.apply(domain("d", "d.test"), *(mailbox(name, "d") for name in ("alice", "bob", *MANY)))
        made.wait_ready("alice", "bob", *MANY)
        yield made


@pytest.fixture
def alice(town: Town) -> MailboxEntry:
    """The victim's entry, before the attack."""
    entry = town.seen_by_a_pod("alice@d.test")
    assert entry is not None and entry.owner == town.get("mailbox", "alice")["metadata"]["uid"] and entry.verifiers
    return entry
