"""Storage of a host from its spec to its directory, on a real server: prepared, published, compared, closed, erased."""

from __future__ import annotations

import base64
import random
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
from tests.fixtures_seaweed import Seaweed
from tests.mailpod.clocks import Later
from tests.mailpod.store.proxy import Mode, breaking_proxy
from tests.operator.fakekube import FakeKube

from mailoperator import conditions as c
from mailoperator import storage as storage_module
from mailoperator.kube import ApiError
from mailoperator.model import MailDomain
from mailoperator.settings import OperatorSettings
from mailoperator.storage import PREFIX_CLAIMED, TAKE_OVER, ClusterPlane
from mailpod.directory import DomainEntry, Entry, MailboxEntry, ObjectStore, ProbeResult, probe

DOMAIN = DomainEntry(name="x.test", hostname="mx.x.test", max_message_bytes=1000, owner="d")


class Leading:
    """Holds the Lease, or not."""

    held = True

    def check(self) -> None:
        assert self.held, "a write by an operator that does not lead"


class World:
    """One cluster, one bucket, as many operators one after the other as the test wants."""

    def __init__(self, server: Seaweed, bucket: str) -> None:
        self.server, self.bucket = server, bucket
        self.kube, self.clock, self.leader = FakeKube(), Later(), Leading()
        self.endpoint = server.endpoint
        self.settings = OperatorSettings(allow_http_hosts=["127.0.0.1"], grace_seconds=1800)
        self.planes: list[ClusterPlane] = []
        values = {"accessKeyID": server.access_key, "secretAccessKey": server.secret_key}
        self.secret("s3", values, {"mailpod.dev/use": "s3"})

    def secret(self, name: str, values: dict[str, str], labels: dict[str, str]) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.kube.objects["v1", "Secret", "mail", name] = {
            "apiVersion": "v1", "kind": "Secret", "data": data,
            "metadata": {"name": name, "namespace": "mail", "labels": labels, "uid": f"uid-{name}"},
        }  # fmt: skip

    def plane(self, cluster: str = "c1") -> ClusterPlane:
        kube, leader = self.kube, self.leader
        made = ClusterPlane(kube, self.settings, leader, self.clock, cluster_uid=cluster)  # type: ignore[arg-type]
        self.planes.append(made)
        return made

    def host(self, name: str = "x", annotations: dict[str, str] | None = None, **storage: Any) -> MailDomain:
        given = {
            "bucket": self.bucket, "prefix": "mail", "endpoint": self.endpoint, "region": self.server.region,
            "credentialsSecretRef": {"name": "s3"},
        }  # fmt: skip
        metadata = {"name": name, "namespace": "mail", "uid": f"uid-{name}", "annotations": annotations or {}}
        return MailDomain.model_validate(
            {
                "apiVersion": "mailpod.dev/v1alpha1", "kind": "MailDomain", "metadata": metadata,
                "spec": {"domainName": f"{name}.test", "server": {"storage": given | storage}},
            }
        )  # fmt: skip

    def versions(self, kind: str = "Versions") -> list[tuple[str, str]]:
        s3 = boto3.client(
            "s3", endpoint_url=self.server.endpoint, aws_access_key_id=self.server.access_key,
            aws_secret_access_key=self.server.secret_key, region_name=self.server.region,
        )  # fmt: skip
        found = s3.list_object_versions(Bucket=self.bucket).get(kind, [])
        return sorted((one["Key"], one["VersionId"]) for one in found)


@pytest.fixture
async def world(seaweed: Seaweed) -> AsyncIterator[World]:
    made = World(seaweed, seaweed.new_bucket())
    yield made
    for plane in made.planes:
        await plane.stop()


def box(local: str, **more: Any) -> MailboxEntry:
    return MailboxEntry(address=f"{local}@x.test", domain="x.test", local=local, owner=f"u-{local}", **more)


async def test_prepared_once_and_a_restart_writes_nothing(world: World) -> None:
    report = await world.plane().prepare(world.host())
    assert report.condition.holds and report.bucket is not None, report
    assert report.bucket.credentials_secret == "x-bucket"
    pods = world.kube.objects["v1", "Secret", "mail", "x-bucket"]["data"]["credentials"]
    assert world.server.secret_key in base64.b64decode(pods).decode()
    entries: list[Entry] = [DOMAIN, box("a"), box("b")]
    assert await world.plane().compare(world.host(), entries, None) is None
    before, writes = (world.versions(), world.versions("DeleteMarkers")), world.kube.writes
    for _ in range(2):  # a restart; a forced sweep
        plane = world.plane()
        world.clock.ahead += 3600
        assert (await plane.prepare(world.host())).condition == report.condition
        assert await plane.compare(world.host(), entries, None) is None
        assert await plane.publish(world.host(), [box("a")], lambda owner: False) == []
        assert (await plane.usage(world.host(), entries))["a@x.test"].messages == 0
    assert (world.versions(), world.versions("DeleteMarkers"), world.kube.writes) == (*before, writes)


async def test_what_cannot_be_used_is_a_condition_with_its_reason(world: World) -> None:
    world.secret("theirs", {"accessKeyID": "a", "secretAccessKey": "hidden-value"}, {})
    world.secret("odd", {"accessKeyID": "hidden-value"}, {"mailpod.dev/use": "s3"})
    world.secret("wrong", {"accessKeyID": "a", "secretAccessKey": "hidden-value"}, {"mailpod.dev/use": "s3"})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"credentialsSecretRef": {"name": "theirs"}}, c.SECRET_NOT_OFFERED),
        ({"credentialsSecretRef": {"name": "none"}}, c.SECRET_MISSING),
        ({"credentialsSecretRef": {"name": "odd"}}, c.SECRET_INVALID),
        ({"credentialsSecretRef": {"name": "wrong"}}, "AccessDenied"),
        ({"endpoint": "https://kubernetes.default.svc"}, "EndpointRefused"),
        ({"endpoint": "http://s3.example.com"}, "EndpointRefused"),
        ({"bucket": "not-there", "provisioning": "Adopt"}, "BucketMissing"),
    ]
    for storage, reason in cases:
        condition = (await world.plane().prepare(world.host(**storage))).condition
        assert (condition.status, condition.reason) == ("False", reason), condition
        assert "hidden-value" not in condition.message


async def test_what_the_api_server_refuses_and_a_bad_signing_key_are_conditions_too(world: World) -> None:
    async def refuse(*_: Any, **__: Any) -> Any:
        raise ApiError(403, "Forbidden", "secrets is forbidden")

    plane, get = world.plane(), world.kube.get
    world.kube.get = refuse  # type: ignore[method-assign]
    condition = (await plane.prepare(world.host())).condition
    assert (condition.status, condition.reason) == ("False", c.APPLY_REFUSED), condition
    world.kube.get = get  # type: ignore[method-assign]
    settings = world.settings
    where = "v1", "Secret", settings.namespace, settings.signing_key_secret
    world.kube.objects[where] = {
        "apiVersion": "v1", "kind": "Secret", "data": {"signing.key": "aGlkZGVuLXZhbHVl"},
        "metadata": {"name": where[3], "namespace": where[2], "uid": "k"},
    }  # fmt: skip
    condition = (await plane.prepare(world.host())).condition
    assert (condition.status, condition.reason) == ("False", c.INVALID), condition
    assert "hidden-value" not in condition.message and settings.signing_key_secret in condition.message


@pytest.mark.parametrize("mode", ["strip", "look"])
async def test_a_bucket_behind_a_proxy_that_breaks_conditions_is_refused(world: World, mode: Mode) -> None:
    async with breaking_proxy(world.server, mode) as url:
        world.endpoint = url
        condition = (await world.plane().prepare(world.host(provisioning="Adopt"))).condition
    assert (condition.status, condition.reason) == ("False", "ConditionalWritesUnsupported"), condition


async def test_an_overlapping_prefix_is_refused_and_the_same_is_taken_over_by_annotation(world: World) -> None:
    assert (await world.plane().prepare(world.host(provisioning="Adopt"))).condition.holds
    for prefix in ("mail", "mail/below"):
        condition = (await world.plane().prepare(world.host("thief", prefix=prefix, provisioning="Adopt"))).condition
        assert (condition.status, condition.reason) == ("False", PREFIX_CLAIMED), condition
    moved = world.host(provisioning="Adopt", annotations={TAKE_OVER: "c1/mail/x"})
    assert (await world.plane("c2").prepare(moved)).condition.holds
    assert (await world.plane("c1").prepare(world.host(provisioning="Adopt"))).condition.reason == PREFIX_CLAIMED


async def test_deleted_mail_is_gone_when_grace_is_over_old_versions_too(world: World) -> None:
    plane, host = world.plane(), world.host()
    assert await plane.compare(host, [DOMAIN, box("a"), box("b")], None) is None
    mine = "mail/accounts/x.test/a/"
    assert any(key.startswith(mine) for key, _ in world.versions())
    await plane.close(host, "x.test", "a", "u-a")
    assert await plane.compare(host, [DOMAIN, box("b")], None) is None
    await settle(plane)
    assert any(key.startswith(mine) for key, _ in world.versions())
    world.clock.ahead += 1801
    plane = world.plane()  # another operator, later: the bucket knows
    time_passes(world)
    assert await plane.compare(host, [DOMAIN, box("b")], None) is None
    await settle(plane)
    left = [key for kind in ("Versions", "DeleteMarkers") for key, _ in world.versions(kind)]
    assert not [key for key in left if key.startswith(mine)]
    assert sum("/a/incarnation/" in key for key in left) == 2


def time_passes(world: World) -> None:
    """The server's clock cannot be put forward, so GRACE was over before; some of its times are whole seconds."""
    world.planes[-1]._settings = world.settings.model_copy(update={"grace_seconds": -2.0})


async def settle(plane: ClusterPlane) -> None:
    for task in list(plane._purging.values()):
        await task


async def test_many_that_are_missed_stop_the_comparison_until_it_is_approved(world: World) -> None:
    plane, host = world.plane(), world.host(provisioning="Adopt")
    everyone: list[Entry] = [DOMAIN, *(box(f"m{number}") for number in range(20))]
    assert await plane.compare(host, everyone, None) is None
    world.clock.ahead += 120
    before = world.versions()
    stopped = await plane.compare(host, everyone[:10], None)
    assert stopped is not None and "11 of 21" in stopped and world.versions() == before
    approval = stopped.rpartition(" ")[2]
    assert await plane.compare(host, everyone[:9], approval) is not None  # not what was approved
    assert await plane.compare(host, everyone[:10], approval) is None
    orphan = "mail/directory/x.test/m15/address"
    assert orphan in dict(world.versions())  # pods answer 451 for 15 minutes
    world.clock.ahead += 901
    assert await plane.compare(host, everyone[:10], None) is None
    assert orphan not in dict(world.versions())


async def test_an_operator_that_does_not_lead_writes_nothing(world: World) -> None:
    plane, host = world.plane(), world.host(provisioning="Adopt")
    await plane.compare(host, [DOMAIN], None)
    before = world.versions()
    world.leader.held = False
    with pytest.raises(AssertionError):
        await plane.publish(host, [box("a")], lambda owner: False)
    with pytest.raises(AssertionError):
        await plane.close(host, "x.test", "a", "u-a")
    assert world.versions() == before


async def test_a_second_host_in_the_bucket_costs_no_second_trial(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    async def counted(objects: ObjectStore, *, rng: random.Random, whose: str) -> ProbeResult:
        tried.append(objects)
        return await probe(objects, rng=rng, whose=whose)

    monkeypatch.setattr(storage_module, "probe", counted)
    plane = world.plane()
    for name in ("one", "two"):
        assert (await plane.prepare(world.host(name, prefix=name))).condition.holds
    assert len(tried) == 1
    assert (await world.plane().prepare(world.host("three", prefix="three"))).condition.holds
    assert len(tried) == 2, "another operator tries for itself"
