"""Which looks follow from what is seen: none for what the operator wrote itself, however many objects there are."""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

import pytest

from mailoperator.context import API
from mailoperator.handlers import seen
from mailoperator.world import World

Raw: TypeAlias = dict[str, Any]
APPLIED = {"kubectl.kubernetes.io/last-applied-configuration": '{"spec": "as kubectl apply sent it"}'}


def raw(kind: str, name: str, spec: Raw, **annotations: str) -> Raw:
    metadata = {
        "name": name,
        "namespace": "n",
        "uid": f"uid-of-{name}",
        "generation": 1,
        "resourceVersion": "1",
        "annotations": {**APPLIED, **annotations},
        "managedFields": [{"manager": "kubectl"}],
    }
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def changed(old: Raw, **metadata: Any) -> Raw:
    new = copy.deepcopy(old)
    new["metadata"] |= {"resourceVersion": str(int(old["metadata"]["resourceVersion"]) + 1), **metadata}
    return new


@pytest.fixture
def world() -> World:
    return World()


DOMAIN = raw("MailDomain", "one", {"domainName": "one.test"})
BOX = raw("Mailbox", "alice", {"domainRef": {"name": "one"}})


def test_a_status_changes_nothing_else(world: World) -> None:
    """Above all not what was applied by `kubectl apply`, whose annotation is not kept in memory."""
    assert ("MailDomain", ("n", "one")) in seen(world, "ADDED", DOMAIN)
    assert ("Mailbox", ("n", "alice")) in seen(world, "ADDED", BOX)
    counted = changed(DOMAIN)
    counted["status"] = {"mailboxes": 1}
    assert seen(world, "MODIFIED", counted) == []
    told = changed(BOX)
    told["status"] = {"usage": {"bytes": "1", "messages": 1}}
    assert seen(world, "MODIFIED", told) == []


@pytest.mark.parametrize(
    "change",
    [{"generation": 2}, {"annotations": {"mailpod.dev/reconcile-at": "now"}}, {"deletionTimestamp": "2026-01-01"}],
)
def test_what_somebody_asks_for_is_looked_at(world: World, change: Raw) -> None:
    seen(world, "ADDED", DOMAIN)
    seen(world, "ADDED", BOX)
    assert ("Mailbox", ("n", "alice")) in seen(world, "MODIFIED", changed(BOX, **change))
    jobs = seen(world, "MODIFIED", changed(DOMAIN, **change))
    assert {("MailDomain", ("n", "one")), ("Mailbox", ("n", "alice"))} <= set(jobs)
