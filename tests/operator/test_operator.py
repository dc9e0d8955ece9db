"""The operator against an API server in memory: what it writes, how often, and what is left when it is killed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from tests.operator.fakekube import FakeKube, Killed
from tests.operator.operators import Cluster, cluster
from tests.operator.plane import domain, mailbox, make_operator

from mailoperator import conditions as c
from mailoperator.context import API, Usage
from mailoperator.kube import ApiError
from mailoperator.operator import Operator
from mailoperator.reconcile_directory import reconcile_directory

__all__ = ["cluster"]


Change = Callable[[FakeKube], None]


def small_world(kube: FakeKube) -> None:
    kube.user_applies(
        domain("host", "host.test", server={"replicas": 2}),
        domain("guest", "guest.test", servedByRef={"name": "host"}, aliasDomains=["other.test"]),
        mailbox("alice", "host"),
        mailbox("bob", "guest", aliases=["info"], deletionPolicy="Delete"),
    )


def own_writes(cluster: Cluster, since: int = 0) -> list[Any]:
    return [line for line in cluster.kube.log[since:] if line[1] != "Lease"]


async def test_all_of_a_small_world(cluster: Cluster) -> None:
    small_world(cluster.kube)
    await cluster.run()
    assert cluster.condition("Mailbox", "alice").holds
    assert cluster.condition("Mailbox", "bob").holds
    assert cluster.condition("MailDomain", "host").reason == c.NO_PODS_READY
    assert {"alice@host.test", "bob@guest.test", "info@other.test", "guest.test", "other.test"} <= set(
        cluster.plane.entries
    )
    kinds = {kind for _, kind, _, _ in cluster.kube.objects}
    assert {"Deployment", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget"} <= kinds
    assert len([1 for _, kind, _, _ in cluster.kube.objects if kind == "Deployment"]) == 1
    status = cluster.kube.objects[API, "MailDomain", "n", "host"]["status"]
    assert status["servedDomains"] == 2


async def test_ready_when_pods_are(cluster: Cluster) -> None:
    small_world(cluster.kube)

    async def pods_come(operator: Operator) -> None:
        cluster.has_available_pods("host")

    await cluster.run(pods_come)
    assert cluster.condition("MailDomain", "host").holds
    assert cluster.condition("MailDomain", "guest").holds
    assert "Ready" in {event["reason"] for event in cluster.kube.events}


async def test_a_mailbox_whose_log_is_damaged_says_so_until_it_is_restored(cluster: Cluster) -> None:
    """STORE.md rule 16; and a restart does not forget it."""
    small_world(cluster.kube)
    cluster.plane.used = {"alice@host.test": Usage(10, 1, "commit 7 cannot be read")}
    await cluster.run()
    intact = cluster.condition("Mailbox", "alice", c.INTACT)
    assert (intact.status, intact.reason) == ("False", c.LOG_DAMAGED)
    assert "commit 7 cannot be read" in intact.message and "mailpod restore" in intact.message
    assert cluster.condition("Mailbox", "alice").reason == c.LOG_DAMAGED
    assert cluster.condition("Mailbox", "bob").holds
    count = len(cluster.kube.log)
    await cluster.run()
    assert own_writes(cluster, count) == []
    cluster.plane.used = {"alice@host.test": Usage(10, 1)}
    await cluster.run()
    assert cluster.condition("Mailbox", "alice").holds


async def test_a_second_look_writes_nothing(cluster: Cluster) -> None:
    small_world(cluster.kube)

    async def swept_again(operator: Operator) -> None:
        count = len(own_writes(cluster))
        await operator.sweep()
        await operator.settled()
        assert own_writes(cluster)[count:] == []

    await cluster.run(swept_again)
    count = cluster.kube.writes
    await cluster.run()
    assert own_writes(cluster, count) == [], "nor does a restart"


async def test_a_mailbox_changes_no_pod(cluster: Cluster) -> None:
    small_world(cluster.kube)
    await cluster.run()
    template = cluster.kube.objects["apps/v1", "Deployment", "n", "host"]
    version = template["metadata"]["resourceVersion"]
    cluster.kube.user_applies(mailbox("carol", "host"), mailbox("dave", "guest"))
    await cluster.run()
    assert template["metadata"]["resourceVersion"] == version


async def test_killed_after_each_write_the_end_is_the_same(cluster: Cluster) -> None:
    """The operator is killed before its k-th write, for every k, and another does the rest."""
    small_world(cluster.kube)
    await cluster.run()
    whole, entries, total = cluster.kube.state(), _comparable(cluster), cluster.kube.writes
    assert total > 15
    for k in range(total):
        other = Cluster()
        small_world(other.kube)
        other.kube.die_after = k
        with contextlib.suppress(Killed, BaseExceptionGroup):
            await other.run()
        other.kube.die_after = None
        await other.run()
        assert other.kube.state() == whole, f"killed before write {k}"
        assert _comparable(other) == entries


def _comparable(cluster: Cluster) -> list[str]:
    return sorted(cluster.plane.entries)


async def test_deletion_closes_the_account_and_lets_go(cluster: Cluster) -> None:
    small_world(cluster.kube)
    await cluster.run()
    assert cluster.kube.objects[API, "Mailbox", "n", "bob"]["metadata"]["finalizers"] == ["mailpod.dev/purge"]
    assert not cluster.kube.objects[API, "Mailbox", "n", "alice"]["metadata"].get("finalizers")
    cluster.kube.user_deletes(API, "Mailbox", "n", "bob")
    await cluster.run()
    assert (API, "Mailbox", "n", "bob") not in cluster.kube.objects
    assert cluster.plane.closed == [("bob", "guest.test")]
    assert "bob@guest.test" not in cluster.plane.entries


async def test_what_is_deleted_is_withdrawn_at_once(cluster: Cluster) -> None:
    small_world(cluster.kube)

    async def deleted(operator: Operator) -> None:
        cluster.kube.user_deletes(API, "Mailbox", "n", "alice")
        cluster.kube.user_deletes(API, "MailDomain", "n", "guest")

    await cluster.run(deleted)
    assert not {"alice@host.test", "guest.test", "other.test"} & set(cluster.plane.entries)
    assert set(cluster.plane.entries) == {"host.test"}, "bob's addresses go with his domain"
    assert cluster.plane.closed == [], "its mail is kept"


async def test_a_deleted_domain_takes_its_mailboxes_addresses_along(cluster: Cluster) -> None:
    """Or the next comparison would miss them all at once, and stop."""
    small_world(cluster.kube)

    async def deleted(operator: Operator) -> None:
        cluster.kube.user_deletes(API, "MailDomain", "n", "guest")

    await cluster.run(deleted)
    assert set(cluster.plane.entries) == {"host.test", "alice@host.test"}
    assert cluster.condition("Mailbox", "bob").reason == "DomainMissing"

    async def applied_again(operator: Operator) -> None:
        cluster.kube.user_applies(domain("guest", "guest.test", servedByRef={"name": "host"}))

    await cluster.run(applied_again)
    assert {"guest.test", "bob@guest.test", "info@guest.test"} <= set(cluster.plane.entries)


async def test_a_comparison_first_withdraws_what_was_deleted(cluster: Cluster) -> None:
    """Also before the watch tells of it: nothing is left for the comparison to miss."""
    small_world(cluster.kube)

    async def deleted(operator: Operator) -> None:
        cluster.kube.user_deletes(API, "MailDomain", "n", "guest")
        cluster.kube.user_deletes(API, "Mailbox", "n", "bob")
        missed: list[set[str]] = []
        compare = cluster.plane.compare

        async def watched(host: Any, entries: Any, *rest: Any) -> str | None:
            missed.append(set(cluster.plane.entries) - {getattr(e, "address", None) or e.name for e in entries})
            return await compare(host, entries, *rest)

        cluster.plane.compare = watched  # type: ignore[method-assign]
        await reconcile_directory(operator.context, ("n", "host"))
        assert missed == [set()]

    await cluster.run(deleted)
    assert set(cluster.plane.entries) == {"host.test", "alice@host.test"}


async def test_a_host_that_is_gone_is_forgotten(cluster: Cluster) -> None:
    small_world(cluster.kube)
    await cluster.run()
    uid = cluster.kube.objects[API, "MailDomain", "n", "host"]["metadata"]["uid"]

    async def deleted(operator: Operator) -> None:
        cluster.kube.user_deletes(API, "MailDomain", "n", "guest")
        cluster.kube.user_deletes(API, "MailDomain", "n", "host")

    operator = await cluster.run(deleted)
    assert uid in cluster.parts.forgotten
    assert not operator.context.certificates and not operator.context.served


async def test_a_deletion_that_only_the_watch_tells_of_withdraws_nothing(cluster: Cluster) -> None:
    small_world(cluster.kube)

    async def told(operator: Operator) -> None:
        operator.see("DELETED", cluster.kube.objects[API, "Mailbox", "n", "alice"])

    await cluster.run(told)
    assert "alice@host.test" in cluster.plane.entries


async def test_deletion_waits_for_the_bucket(cluster: Cluster) -> None:
    small_world(cluster.kube)
    await cluster.run()
    cluster.plane.condition = c.bad(c.STORAGE_READY, c.STORAGE_UNAVAILABLE, "down")
    bob = cluster.kube.objects[API, "Mailbox", "n", "bob"]
    cluster.kube.user_deletes(API, "Mailbox", "n", "bob")
    bob["metadata"]["deletionTimestamp"] = "2999-01-01T00:00:00Z"
    await cluster.run()
    assert bob["metadata"]["finalizers"]
    told = cluster.condition("Mailbox", "bob")
    assert (told.status, told.reason) == ("False", c.STORAGE_UNAVAILABLE) and "not closed yet" in told.message
    bob["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"  # more than ten minutes: OPERATOR.md rule 40
    await cluster.run()
    assert (API, "Mailbox", "n", "bob") not in cluster.kube.objects
    assert c.STORAGE_GIVEN_UP in {event["reason"] for event in cluster.kube.events}


async def test_a_host_stays_while_it_serves_others(cluster: Cluster) -> None:
    small_world(cluster.kube)
    await cluster.run()
    cluster.kube.user_deletes(API, "MailDomain", "n", "host")
    await cluster.run()
    assert (API, "MailDomain", "n", "host") in cluster.kube.objects
    assert cluster.condition("MailDomain", "host").reason == c.DELETING
    cluster.kube.user_deletes(API, "MailDomain", "n", "guest")
    await cluster.run()
    assert (API, "MailDomain", "n", "host") not in cluster.kube.objects


async def test_who_has_an_address_keeps_it(cluster: Cluster) -> None:
    """The one that is published wins, though the other is older; with nobody published the older does."""
    cluster.kube.user_applies(domain("d", "d.test"), mailbox("old", "d"), mailbox("new", "d", aliases=["info"]))
    await cluster.run()
    cluster.kube.user_applies(mailbox("old", "d", aliases=["info"]))
    await cluster.run()
    assert cluster.condition("Mailbox", "new").holds
    assert cluster.condition("Mailbox", "old").reason == c.ADDRESS_TAKEN
    cluster.kube.user_applies(mailbox("old", "d", aliases=[]))
    await cluster.run()
    assert cluster.condition("Mailbox", "old").holds


async def test_of_two_new_ones_the_older_wins(cluster: Cluster) -> None:
    cluster.kube.user_applies(mailbox("a", "d", localPart="info"), mailbox("b", "d", localPart="info"))
    cluster.kube.user_applies(domain("d", "d.test"))
    await cluster.run()
    assert cluster.condition("Mailbox", "a").holds
    assert cluster.condition("Mailbox", "b").reason == c.ADDRESS_TAKEN


@pytest.mark.parametrize(
    ("objects", "name", "reason"),
    [
        ([domain("a", "x.test"), domain("b", "x.test")], "b", c.DOMAIN_TAKEN),
        ([domain("a", "x.test"), domain("b", "y.test", aliasDomains=["x.test"])], "b", c.DOMAIN_TAKEN),
        ([domain("b", "x.test", servedByRef={"name": "none"})], "b", c.HOST_MISSING),
        (
            [
                domain("a", "x.test"),
                domain("m", "y.test", servedByRef={"name": "a"}),
                domain("b", "z.test", servedByRef={"name": "m"}),
            ],
            "b",
            c.HOST_NOT_A_SERVER,
        ),
    ],
)
async def test_domains_that_are_refused(cluster: Cluster, objects: list[Any], name: str, reason: str) -> None:
    cluster.kube.user_applies(*objects)
    await cluster.run()
    assert cluster.condition("MailDomain", name).reason == reason


async def test_reserved_addresses_are_given_away_by_the_domain_alone(cluster: Cluster) -> None:
    cluster.kube.user_applies(domain("d", "d.test"), mailbox("admin", "d"))
    await cluster.run()
    assert cluster.condition("Mailbox", "admin").reason == c.ADDRESS_RESERVED
    cluster.kube.user_applies(domain("d", "d.test", allowedReservedLocalParts=["admin"]))
    await cluster.run()
    assert cluster.condition("Mailbox", "admin").holds


async def test_paused_objects_are_left_alone(cluster: Cluster) -> None:
    paused = domain("d", "d.test")
    paused["metadata"]["annotations"] = {"mailpod.dev/paused": ""}
    cluster.kube.user_applies(paused)
    await cluster.run()
    assert own_writes(cluster) == []


async def test_api_errors_are_tried_again(cluster: Cluster) -> None:
    cluster.kube.user_applies(domain("d", "d.test"), mailbox("alice", "d"))
    cluster.kube.fail = [ApiError(500, "InternalError", "no"), ApiError(409, "Conflict", "changed")]
    await cluster.run()
    operator = make_operator(cluster.kube, cluster.plane, cluster.parts)
    assert not operator.context.world.all("Mailbox")
    await cluster.run()
    assert cluster.condition("Mailbox", "alice").holds


async def test_without_storage_there_are_no_pods(cluster: Cluster) -> None:
    cluster.plane.condition = c.bad(c.STORAGE_READY, c.STORAGE_UNAVAILABLE, "down")
    small_world(cluster.kube)
    await cluster.run()
    assert cluster.condition("MailDomain", "host").reason == c.STORAGE_UNAVAILABLE
    assert cluster.condition("Mailbox", "alice").reason == c.DOMAIN_NOT_READY
    assert not cluster.plane.entries


async def test_pods_wait_for_a_smarthosts_secret_that_is_offered_and_whole(cluster: Cluster) -> None:
    smarthost = {"host": "relay.test", "credentialsSecretRef": {"name": "relay"}}
    data = {"username": "dQ==", "password": "cA=="}

    def secret(labels: dict[str, str], data: dict[str, str]) -> dict[str, Any]:
        metadata = {"name": "relay", "namespace": "n", "labels": labels}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    offered = {"mailpod.dev/use": "smarthost"}
    cluster.kube.user_applies(domain("host", "host.test", server={}, outbound={"smarthost": smarthost}))
    for written, reason in (
        (None, c.SECRET_MISSING),
        (secret({}, data), c.SECRET_NOT_OFFERED),
        (secret(offered, {"username": "dQ=="}), c.SECRET_INVALID),
    ):
        if written is not None:
            cluster.kube.user_applies(written)
        await cluster.run()
        assert cluster.condition("MailDomain", "host").reason == reason
        assert ("apps/v1", "Deployment", "n", "host") not in cluster.kube.objects
    cluster.kube.user_applies(secret(offered, data))
    await cluster.run()
    assert cluster.condition("MailDomain", "host").reason == c.NO_PODS_READY
