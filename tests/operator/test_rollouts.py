"""Children of several MailDomains: rolled one at a time, and never over what is somebody else's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.operator.operators import Cluster, cluster
from tests.operator.plane import domain

from mailoperator import conditions as c
from mailoperator.kube import ApiError
from mailoperator.operator import Operator
from mailpod.directory import LATER, DomainEntry

__all__ = ["cluster"]


@pytest.mark.parametrize(("version", "kind"), [("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ServiceAccount")])
async def test_anothers_object_of_a_childs_name_is_left_alone(cluster: Cluster, version: str, kind: str) -> None:
    theirs = {"apiVersion": version, "kind": kind, "metadata": {"name": "web", "namespace": "n"}, "spec": {"mine": 1}}
    cluster.kube.user_applies(theirs, domain("web", "web.test"))
    before = copy.deepcopy(cluster.kube.objects[version, kind, "n", "web"])
    await cluster.run()
    refused = cluster.condition("MailDomain", "web", c.AVAILABLE)
    assert (refused.status, refused.reason) == ("False", c.NAME_TAKEN)
    assert cluster.kube.objects[version, kind, "n", "web"] == before


async def test_an_upgrade_rolls_one_maildomain_at_a_time(cluster: Cluster) -> None:
    """OPERATOR.md rule 40: a new image of the installation's, for two that run."""
    cluster.kube.user_applies(domain("a", "a.test"), domain("b", "b.test"))
    await cluster.run()

    def images() -> list[str]:
        found = (cluster.kube.objects["apps/v1", "Deployment", "n", name] for name in ("a", "b"))
        return sorted(one["spec"]["template"]["spec"]["containers"][0]["image"] for one in found)

    for name in ("a", "b"):
        cluster.has_available_pods(name)
    before = images()
    await cluster.run(pod_image="upgraded:2")
    assert images() == sorted([before[0], "upgraded:2"]), "the other waits for its pods"
    for name in ("a", "b"):
        cluster.has_available_pods(name)
    await cluster.run(pod_image="upgraded:2")
    assert images() == ["upgraded:2", "upgraded:2"]


async def test_a_rollout_that_is_refused_holds_no_other_up(cluster: Cluster) -> None:
    cluster.kube.user_applies(domain("a", "a.test"), domain("b", "b.test"))
    await cluster.run()
    for name in ("a", "b"):
        cluster.has_available_pods(name)
    cluster.kube.user_applies(domain("a", "a.test", server={"image": "new:1"}))
    refused = ApiError(422, "Invalid", "no such image")
    kind, apply = "Deployment", cluster.kube.apply

    async def refuse(obj: dict[str, Any], **options: Any) -> dict[str, Any]:
        if (obj["kind"], obj["metadata"]["name"]) == (kind, "a"):
            raise refused
        return await apply(obj, **options)

    cluster.kube.apply = refuse  # type: ignore[method-assign]

    async def then_another(operator: Operator) -> None:
        assert cluster.condition("MailDomain", "a").reason == c.APPLY_REFUSED
        cluster.kube.user_applies(domain("b", "b.test", server={"image": "new:2"}))

    await cluster.run(then_another)
    pod = cluster.kube.objects["apps/v1", "Deployment", "n", "b"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "new:2"


async def test_entries_say_what_pods_read_once_all_are_of_this_installation(cluster: Cluster) -> None:
    """FORMAT.md, "Changing the format": never while pods of another version may be there."""
    cluster.kube.user_applies(domain("a", "a.test"), domain("guest", "guest.test", servedByRef={"name": "a"}))
    await cluster.run()

    def reads() -> list[tuple[str, ...]]:
        entries = [entry for entry in cluster.plane.entries.values() if isinstance(entry, DomainEntry)]
        return [entry.reads for entry in sorted(entries, key=lambda entry: entry.name)]

    assert reads() == [(), ()], "no pod is there yet"
    cluster.has_available_pods("a")
    await cluster.run()
    assert reads() == [LATER, LATER]
    status = cluster.kube.objects["apps/v1", "Deployment", "n", "a"]["status"]
    status["replicas"] += 1  # an old pod, in a roll-out
    await cluster.run()
    assert reads() == [(), ()], "an operator that starts now knows nothing yet"
    cluster.has_available_pods("a")
    cluster.kube.user_applies(domain("a", "a.test", server={"image": "mine:1"}))
    await cluster.run()
    cluster.has_available_pods("a")
    await cluster.run()
    assert reads() == [(), ()]


async def test_an_image_in_a_mirror_is_the_same_by_its_digest(cluster: Cluster) -> None:
    ours, others = (f"sha256:{digit * 64}" for digit in "ab")
    for image, known in (
        (f"mirror.test/mailpod@{ours}", True),
        (f"mirror.test/mailpod:1.0@{ours}", True),
        (f"mirror.test/mailpod@{others}", False),
        ("mirror.test/mailpod:1.0", False),
    ):
        cluster.kube.user_applies(domain("a", "a.test", server={"image": image}))
        await cluster.run(pod_image=f"registry.test/mailpod:1.0@{ours}")
        cluster.has_available_pods("a")
        await cluster.run(pod_image=f"registry.test/mailpod:1.0@{ours}")
        (entry,) = (entry for entry in cluster.plane.entries.values() if isinstance(entry, DomainEntry))
        assert entry.reads == (LATER if known else ()), image
