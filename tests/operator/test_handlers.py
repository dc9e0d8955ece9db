"""Which looks follow from what is seen: none for what the operator wrote itself, however many objects there are."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any, ClassVar, TypeAlias

import pytest

from mailoperator.context import API
from mailoperator.handlers import seen
from mailoperator.tlswatch import watch_tls_secrets
from mailoperator.world import TLS_SECRET, World

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


def test_a_renewed_certificate_brings_its_host_up(world: World) -> None:
    """Also that of a Secret which cert-manager writes: it has no label, and only its metadata is seen."""
    guest = raw("MailDomain", "guest", {"domainName": "guest.test", "servedByRef": {"name": "one"}})
    guest["spec"]["tls"] = {"issuerRef": {"name": "ca"}}
    named = raw("MailDomain", "named", {"domainName": "named.test", "servedByRef": {"name": "one"}})
    named["spec"]["tls"] = {"secretRef": {"name": "mine"}}
    for each in (DOMAIN, guest, named):
        seen(world, "ADDED", each)
    for secret, user in (("guest-tls", "guest"), ("mine", "named")):
        written = {"kind": TLS_SECRET, "metadata": {"name": secret, "namespace": "n", "resourceVersion": "7"}}
        assert set(seen(world, "ADDED", written)) == {("MailDomain", ("n", user)), ("MailDomain", ("n", "one"))}
        assert seen(world, "ADDED", written) == [], "no news"
        assert len(seen(world, "MODIFIED", changed(written))) == 2
    other = {"kind": TLS_SECRET, "metadata": {"name": "other", "namespace": "n", "resourceVersion": "7"}}
    assert seen(world, "ADDED", other) == []


async def test_the_watch_of_certificates_begins_again_where_it_was_cut(world: World) -> None:
    """What went meanwhile is seen to be gone by the list."""
    told: list[tuple[str | None, str]] = []
    done = asyncio.Event()

    def see(type: str | None, raw: Raw) -> None:
        told.append((type, raw["metadata"]["name"]))
        seen(world, type, raw)

    def secret(name: str, version: str) -> Raw:
        return {"metadata": {"name": name, "namespace": "n", "uid": f"uid-of-{name}", "resourceVersion": version}}

    class Api:
        lists: ClassVar = [[secret("a", "1"), secret("b", "2")], [secret("b", "4")]]

        async def list_metadata(self, *where: Any, fields: str) -> tuple[list[Raw], str]:
            assert fields == "type=kubernetes.io/tls"
            return self.lists.pop(0), "10"

        async def watch_metadata(self, *where: Any, fields: str, since: str) -> AsyncIterator[tuple[str, Raw]]:
            assert since == "10"
            if self.lists:
                yield "MODIFIED", secret("b", "3")
                return
            done.set()
            await asyncio.Event().wait()

    watching = asyncio.create_task(watch_tls_secrets(Api(), world, see, ["n"]))
    await asyncio.wait_for(done.wait(), 10)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert told == [(None, "a"), (None, "b"), ("MODIFIED", "b"), (None, "b"), ("DELETED", "a")]
