"""Pods over one bucket that send to made-up servers of made-up domains."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.harness.zone import Zone
from tests.mailpod.smtp.server import Bucket, Server, make_services

from mailpod.services import Services
from mailpod.store.objects import ObjectStore
from mailpod.store.outbound import SpoolEntry
from mailpod.tlspolicy.policies import make_policies

ALICE = "alice@example.com"
FAR = "bob@far.test"
MESSAGE = b"Subject: hello\r\n\r\n.a line with a dot\r\nbody\r\n"
ZONE = ("far.test. MX 10 mx.far.test.", "mx.far.test. A 127.0.0.1")
QUICK = {"takeover_seconds": 0.05, "claim_seconds": 0.2, "sweep_seconds": 0.1, "retry_first": 0.02}
QUICK_OUT = {"retry_first": 0.05, "backoff_first": 0.05, "idle_seconds": 0.2, "claim_seconds": 1}


async def pod(
    bucket: ObjectStore, zone: Zone, port: int, queue: dict[str, Any] | None = None, **outbound: Any
) -> Services:
    """Its servers elsewhere are all at `port`."""
    services = await make_services(
        bucket,
        queue=QUICK | (queue or {}),
        outbound=QUICK_OUT | {"port": port} | outbound,
        store={"commit_deadline": 0.2},
    )
    services.resolver = zone.resolver(services.clock)
    services.tls_policies = make_policies(services.settings.tls_policy, services.resolver, services.clock)
    return services


def entry(services: Services, *recipients: str, **fields: Any) -> SpoolEntry:
    """From Alice, who submitted it."""
    fields = {"sender": ALICE, "user": ALICE, "recipients": recipients or (FAR,), "created": 0.0} | fields
    return SpoolEntry(services.spool.new_id(), **fields)


async def inbox(services: Services, address: str = ALICE) -> list[bytes]:
    return await Server(services, Bucket(), 0).inbox(address)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Poll: what changes is in the bucket."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def settled(bucket: ObjectStore) -> None:
    """Wait until the queue is empty."""

    async def empty() -> bool:
        return not await bucket.list("outbound/")

    await until(empty)
