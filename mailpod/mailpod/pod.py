"""One mail pod: builds what sessions share, listens, and drains.

- Start waits for nothing outside the pod: with the bucket away it listens, and answers 451.
- On SIGTERM: readiness off, no new connections, sessions end after their running command, the store closes, exit 0.
  A second signal, or `drain_seconds`, cuts what is left.
- A background task that fails is logged and started again; it never takes the pod along.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace

from mailpod import logs, metrics
from mailpod.auth.authenticator import Authenticator
from mailpod.clock import Clock, SystemClock
from mailpod.config import ListenerSettings, PodSettings
from mailpod.directory import Directory
from mailpod.dkim.signer import Signer
from mailpod.errors import MailError
from mailpod.http.health import Health
from mailpod.http.server import HttpSession
from mailpod.imap.urlopener import UrlOpener
from mailpod.net.budget import Budget
from mailpod.net.follow import Followers
from mailpod.net.hints import Hints
from mailpod.net.limits import Connections
from mailpod.net.listener import Factory, Listening, listen, name_of, port_of
from mailpod.net.registry import Registry
from mailpod.net.tls import TlsContexts
from mailpod.services import Services
from mailpod.store import Store
from mailpod.store.metered import MeteredObjects
from mailpod.store.objects import ObjectStore
from mailpod.store.reachable import BucketCheck
from mailpod.store.throttle import ThrottledObjects

_HTTP_CONNECTIONS = 100
_RESTART_SECONDS = 1.0
_CUT_SECONDS = 0.5


def build_services(settings: PodSettings, objects: ObjectStore, clock: Clock, rng: random.Random) -> Services:
    """Everything sessions share. Raises OSError when a certificate cannot be read."""
    directory = Directory(objects, public_keys=settings.public_keys(), clock=clock)
    metrics.begin()
    metrics.BUDGET_LIMIT.set(settings.message_budget_bytes)
    budget = Budget(settings.message_budget_bytes)
    metrics.BUDGET_USED.set_function(lambda: budget.used)
    followers = Followers()
    hints = Hints(settings.hints, followers.hint, clock=clock, rng=rng) if settings.hints else None
    tell = hints.tell if hints else None
    store = Store(objects, settings=settings.store, clock=clock, rng=rng, pod=settings.name, on_commit=tell)
    metrics.UNINDEXED.set_function(lambda: store.unindexed)
    services = Services(
        settings=settings,
        store=store,
        directory=directory,
        auth=Authenticator(directory, settings, clock),
        budget=budget,
        registry=Registry(directory),
        connections=Connections(
            clock, total=settings.max_connections, per_address=settings.max_connections_per_address
        ),
        tls=TlsContexts(
            [(files.certificate, files.key) for files in settings.tls],
            folder=settings.keys,
            default=settings.default_certificate,
        ),
        clock=clock,
        pod_name=settings.name,
        signer=Signer(settings.keys),
        followers=followers,
        hints=hints,
    )
    services.urls = UrlOpener(services)
    return services


class Pod:
    """A pod over a bucket. `start`, then `drain`; or `run`, which does both around the signals."""

    def __init__(
        self,
        settings: PodSettings,
        objects: ObjectStore,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.health = Health()
        self.ports: dict[str, int] = {}
        """Port that each listener (by `name_of`) got."""
        self._objects = ThrottledObjects(MeteredObjects(objects))
        self.services = build_services(settings, self._objects, clock or SystemClock(), rng or random.SystemRandom())
        self._servers: list[tuple[ListenerSettings, Listening]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen, and begin the background work. Raises ListenError."""
        self.health.has_keys = bool(self.settings.directory_keys)
        self.health.listeners_wanted = {name_of(listener) for listener in self.settings.listeners}
        # /healthz first: whoever started us may ask while the rest comes up.
        for listener in self.settings.listeners:
            if listener.protocol == "http":
                await self._listen(listener)
        if any(listener.protocol == "imap" for listener in self.settings.listeners):
            from mailpod.imap.rehearsal import rehearse

            await rehearse(self.services)
        for listener in self.settings.listeners:
            if listener.protocol != "http":
                await self._listen(listener)
        self._begin()
        logs.event("pod.started", listeners=sorted(self.health.listeners_open), ports=self.ports)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain; a second signal cuts the drain short."""
        stop, hurry = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            (hurry if stop.is_set() else stop).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await self.start()
        await stop.wait()
        await self.drain(hurry)

    async def drain(self, hurry: asyncio.Event | None = None) -> None:
        """End in order; at most `drain_seconds` for sessions, less when `hurry` is set."""
        logs.event("pod.draining", connections=len(self.services.connections))
        self.services.draining = self.health.draining = True
        metrics.DRAINING.set(1)
        for listener, server in self._servers:
            if listener.protocol != "http":
                server.close()
        self.services.connections.drain()
        await self._wait_for_sessions(hurry or asyncio.Event())
        await self._close()
        logs.event("pod.stopped")

    async def _close(self) -> None:
        services = self.services
        for task in self._tasks:
            task.cancel()
        await services.teacher.close()
        await services.quota.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.close_seconds):
                await services.spool.stop()
                for reports in (services.dmarc_reports, services.tls_reports):
                    with contextlib.suppress(MailError):  # a count too low
                        await reports.flush()
                await services.store.close()
        services.auth.close()
        await services.rspamd.close()
        for _, server in self._servers:
            server.close()
        await self._objects.close()

    async def _wait_for_sessions(self, hurry: asyncio.Event) -> None:
        connections = self.services.connections
        ends = [asyncio.ensure_future(connections.finished()), asyncio.ensure_future(hurry.wait())]
        await asyncio.wait(ends, timeout=self.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        if len(connections):
            logs.event("pod.sessions_cut", level="warning", connections=len(connections))
            connections.abort()
            await asyncio.wait(ends[:1], timeout=_CUT_SECONDS)
        for end in ends:
            end.cancel()

    async def _listen(self, listener: ListenerSettings) -> None:
        if listener.protocol == "http":
            services = self._http_services()
            factory: Factory = lambda: HttpSession(services, self.health)  # noqa: E731
        elif listener.protocol == "https":
            services = self._web_services()
            factory = mail_factory(listener, services)
        else:
            services = self.services
            factory = mail_factory(listener, services)
        server = await listen(listener, factory, services)
        self._servers.append((listener, server))
        self.ports[name_of(listener)] = port_of(server)
        self.health.listeners_open.add(name_of(listener))

    def _http_services(self) -> Services:
        """Probes have limits of their own: a flood of mail clients must not make the pod look dead."""
        connections = Connections(self.services.clock, total=_HTTP_CONNECTIONS, per_address=_HTTP_CONNECTIONS)
        return replace(self.services, connections=connections)

    def _web_services(self) -> Services:
        """Limits of their own, so that no flood of web clients takes the mail clients' room."""
        web = self.settings.web
        connections = Connections(
            self.services.clock, total=web.max_connections, per_address=web.max_connections_per_address
        )
        return replace(self.services, connections=connections)

    def _begin(self) -> None:
        services, settings = self.services, self.settings
        check = BucketCheck(self._objects, self.health.bucket_seen, services.clock)
        services.spool.start()
        self._keep("registry", lambda: services.registry.follow(settings.registry_sweep_seconds))
        self._keep("tls", lambda: services.tls.follow(settings.tls_poll_seconds))
        self._keep("dkim", lambda: services.signer.keys.follow(settings.tls_poll_seconds))
        self._keep("bucket", lambda: check.follow(settings.bucket_check_seconds))
        self._keep("dmarcreports", services.dmarc_reports.run)
        self._keep("tlsreports", services.tls_reports.run)
        self._keep("retention", services.retention.run)
        if services.hints is not None:
            self._keep("hints", services.hints.run)

    def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(_kept(name, work)))


async def _kept(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Background work, begun again when it fails."""
    while True:
        try:
            await work()
            return
        except Exception as error:
            logs.crash("background.crashed", error, task=name)
        await asyncio.sleep(_RESTART_SECONDS)


def mail_factory(listener: ListenerSettings, services: Services) -> Factory:
    """Makes the protocol object of each new connection. A protocol is loaded only where it listens."""
    implicit = listener.tls == "implicit"
    if listener.protocol == "imap":
        from mailpod.imap.server import ImapSession

        return lambda: ImapSession(services, implicit_tls=implicit)
    if listener.protocol == "pop3":
        from mailpod.pop3.server import Pop3Session

        return lambda: Pop3Session(services, implicit_tls=implicit)
    if listener.protocol == "lmtp":
        from mailpod.smtp.lmtp import make_lmtp

        return lambda: make_lmtp(services, implicit_tls=implicit)
    if listener.protocol == "https":
        from mailpod.http.web import WebSession

        return lambda: WebSession(services)
    from mailpod.smtp.server import make_smtp

    role = listener.role or "mx"
    return lambda: make_smtp(services, role=role, implicit_tls=implicit)
