"""`mail-operator run`: kopf's watches around the operator, in a cluster or beside one.

Kopf watches and nothing else (OPERATOR.md rules 11 to 16): only `on.event`, so it puts neither finalizers nor
annotations on anything; what is to be done is the operator's own queue's.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import kopf

from mailoperator.clusterdns import ClusterDns
from mailoperator.clusterkeys import ClusterKeys
from mailoperator.clusterpasswords import ClusterPasswords
from mailoperator.context import API, StorageFailed
from mailoperator.dnscheck import DnsChecker
from mailoperator.entries import address_of
from mailoperator.gather import Unusable, domain_of, host_of
from mailoperator.health import Heartbeat, serve
from mailoperator.kube import ApiError, Kube
from mailoperator.leader import Leader
from mailoperator.model import Mailbox
from mailoperator.operator import USE_LABEL, Operator
from mailoperator.passwordhash import Hasher
from mailoperator.settings import OperatorSettings
from mailoperator.signing import signing_key
from mailoperator.storage import ClusterPlane
from mailoperator.tlswatch import watch_tls_secrets
from mailoperator.world import World
from mailoperator.worldmetrics import told
from mailpod.clock import Clock, SystemClock
from mailpod.logs import event

T = TypeVar("T")
_CHILDREN: Final = "app.kubernetes.io/managed-by=mail-operator"
_AGAIN_SECONDS: Final = 2.0


async def run(settings: OperatorSettings, *, kubeconfig: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    kube = await Kube.connect(kubeconfig=kubeconfig, instance=settings.pod_name)
    try:
        await operate(settings, kube, stop)
    finally:
        await kube.close()


async def operate(settings: OperatorSettings, kube: Kube, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """One operator on an open connection, until `stop`."""
    clock = clock or SystemClock()
    heartbeat = Heartbeat(clock, expected=_sees_own_lease(settings), ping=kube.version)
    operators: list[Operator] = []
    health = await serve(
        settings.health_host,
        settings.health_port,
        alive=heartbeat.alive,
        ready=lambda: bool(operators) and operators[0].ready,
    )
    plane: ClusterPlane | None = None
    try:
        await _until_known(kube, stop)
        world = World()
        leader = Leader(
            kube,
            namespace=settings.namespace,
            name=settings.lease_name,
            identity=settings.pod_name,
            seconds=settings.lease_seconds,
            clock=clock,
        )
        uid = await insist(lambda: _cluster_uid(kube, settings), stop)
        key = await insist(lambda: signing_key(kube, settings.namespace, settings.signing_key_secret), stop)
        if uid is None or key is None:
            return
        plane = ClusterPlane(kube, settings, leader, clock, cluster_uid=uid)
        operator = _assemble(kube, settings, clock, leader, world, plane, key)
        operators.append(operator)
        with told(operator.context.world):
            await _serve(operator, settings, kube, heartbeat, stop)
    finally:
        if plane is not None:
            await plane.stop()
        await health.cleanup()


def _assemble(
    kube: Kube, settings: OperatorSettings, clock: Clock, leader: Leader, world: World, plane: ClusterPlane, key: bytes
) -> Operator:
    checker = DnsChecker(clock, resolver=settings.resolver) if settings.dns_checks else None
    keys = ClusterKeys(kube, world, clock, schedule=settings.dkim, checker=checker)
    hasher = Hasher(key)

    async def published(mailbox: Mailbox) -> tuple[str, ...]:
        raw = world.get("MailDomain", (mailbox.metadata.namespace, mailbox.spec.domain_ref.name))
        try:
            domain = domain_of(raw or {})
            return await plane.verifiers(host_of(domain, world), str(address_of(mailbox, domain)))
        except (Unusable, StorageFailed):
            return ()

    return Operator(
        kube,
        settings,
        clock,
        leader=leader,
        world=world,
        plane=plane,
        keys=keys,
        dns=ClusterDns(keys, checker),
        passwords=ClusterPasswords(kube, world, hasher, published),
    )


async def _serve(
    operator: Operator, settings: OperatorSettings, kube: Kube, heartbeat: Heartbeat, stop: asyncio.Event
) -> None:
    """Until `stop`, or until one of the two fails: then the other is ended too, and the failure is raised."""
    ours = asyncio.create_task(operator.run(), name="operator")
    watches = asyncio.create_task(_watch(operator, settings, kube, heartbeat), name="watches")
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([ours, watches, stopped], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ours, watches, stopped):
            task.cancel()
        ended = await asyncio.gather(ours, watches, stopped, return_exceptions=True)
        await operator.stop()
    for result in ended:
        if isinstance(result, Exception):
            raise result


async def _watch(operator: Operator, settings: OperatorSettings, kube: Kube, heartbeat: Heartbeat) -> None:
    async with asyncio.TaskGroup() as group:
        world, namespaces = operator.context.world, settings.watch_namespaces
        certificates = group.create_task(watch_tls_secrets(kube, world, operator.see, namespaces))
        await _kopf(operator, settings, kube, heartbeat)
        certificates.cancel()


async def _kopf(operator: Operator, settings: OperatorSettings, kube: Kube, heartbeat: Heartbeat) -> None:
    await kopf.operator(
        registry=registry(settings, operator.see, heartbeat.beat, kube),
        settings=watch_settings(settings),
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
    )


def watch_settings(settings: OperatorSettings) -> kopf.OperatorSettings:
    """Rules 12, 14 and 15; kopf posts nothing and discovers nothing while it runs."""
    made = kopf.OperatorSettings()
    made.persistence.finalizer = "mailpod.dev/kopf"
    made.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="mailpod.dev")
    made.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="mailpod.dev")
    made.watching.server_timeout = 300
    made.watching.client_timeout = 330
    made.watching.connect_timeout = 10
    made.watching.inactivity_timeout = 75
    made.watching.chunk_size = 500
    made.watching.label_selectors["", "v1", "secrets"] = USE_LABEL
    made.watching.label_selectors["apps", "v1", "deployments"] = _CHILDREN
    made.watching.label_selectors["", "v1", "services"] = _CHILDREN
    made.watching.field_selectors["coordination.k8s.io", "v1", "leases"] = f"metadata.name={settings.lease_name}"
    made.posting.enabled = False
    made.scanning.disabled = True
    made.networking.request_timeout = 30
    made.networking.connect_timeout = 10
    return made


def registry(
    settings: OperatorSettings, see: Callable[[str | None, dict[str, Any]], None], beat: Callable[[], None], kube: Kube
) -> kopf.OperatorRegistry:
    """What kopf watches."""
    made = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await kube.connection()

    async def seen(event: Any, **_: Any) -> None:
        see(event["type"], dict(event["object"]))

    async def beaten(namespace: str | None, **_: Any) -> None:
        if namespace == settings.namespace:
            beat()

    kopf.on.login(registry=made)(login)
    for group, version, plural in (
        ("mailpod.dev", "v1alpha1", "maildomains"),
        ("mailpod.dev", "v1alpha1", "mailboxes"),
        ("", "v1", "secrets"),
        ("apps", "v1", "deployments"),
        ("", "v1", "services"),
    ):
        kopf.on.event(group, version, plural, registry=made, id="seen")(seen)
    if _sees_own_lease(settings):
        kopf.on.event("coordination.k8s.io", "v1", "leases", registry=made, id="beaten")(beaten)
    return made


def _sees_own_lease(settings: OperatorSettings) -> bool:
    """Elsewhere the Lease's namespace is not watched, or others' Leases would be asked for."""
    return settings.watch_namespaces in ([], [settings.namespace])


async def _until_known(kube: Kube, stop: asyncio.Event) -> None:
    """Wait for the CRDs: what kopf does not find at its start it never watches."""
    while not stop.is_set():
        try:
            if await kube.has_api(API, "MailDomain") and await kube.has_api(API, "Mailbox"):
                return
            event("operator.waits", level="warning", reason="the CRDs of mailpod.dev are not installed")
        except ApiError as error:
            event("operator.waits", level="warning", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _AGAIN_SECONDS)


async def insist(ask: Callable[[], Awaitable[T]], stop: asyncio.Event, *, again: float = _AGAIN_SECONDS) -> T | None:
    """What `ask` gives, asked every `again` seconds while no API server answers; None where `stop` came first.

    A start amid an outage waits for its end. Raises ApiError for what the API server refuses.
    """
    while not stop.is_set():
        try:
            return await ask()
        except ApiError as error:
            if error.status not in (0, 429) and error.status < 500:
                raise
            event("operator.waits", level="warning", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), again)
    return None


async def _cluster_uid(kube: Kube, settings: OperatorSettings) -> str:
    """What tells this cluster from others in a bucket's claims."""
    if settings.cluster_uid:
        return settings.cluster_uid
    for name in ("kube-system", settings.namespace):
        try:
            if found := await kube.get("v1", "Namespace", None, name):
                return str(found["metadata"]["uid"])
        except ApiError as error:
            if error.status != 403:
                raise
    raise ValueError("clusterUid is not set, and no Namespace may be read to take a UID from")
