"""Pods, an operator and all that surrounds them, so that a test can break any of it: bucket, DNS, other servers, keys.

- The pods are local mode's, with settings that it has no field for: `sitecustomize` puts them in, and a bug into TOP;
  a day of `retention` is a second.
- The bucket is a real S3 server behind a proxy that may be slow, or closed.
- The operator is the real one over an API server in memory; what the bucket makes of its entries, and its own HTTP
  client, are exercised beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client import ApiClient, Configuration
from tests.conftest import MakeMailpod
from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.nameserver import NameServer
from tests.harness.peer import Peer
from tests.harness.pki import issue
from tests.harness.ports import free_port
from tests.harness.server import Mailpod
from tests.harness.target import Account
from tests.operator.fakekube import FakeKube
from tests.operator.plane import FakeParts, FakePlane, Raw, domain, mailbox, make_operator

from mailoperator import conditions as c
from mailoperator.conditions import Condition
from mailoperator.directorysync import DirectorySync
from mailoperator.health import serve
from mailoperator.kube import ApiError, Kube
from mailoperator.model import MailDomain
from mailoperator.worldmetrics import told
from mailpod.clock import SystemClock
from mailpod.directory import MailboxEntry, StorageError, new_signing_key
from mailpod.errors import MailError
from mailpod.store.memory import MemoryObjects

LISTED = "127.0.0.9"
"""A client that is on the DNS blocklist."""
FULL = Account("full@example.test", "a-password")
NEARLY_FULL = Account("nearly@example.test", "a-password")
FORWARDING = Account("away@example.test", "a-password")
DEFAULTS = {"quota": {"storage": "1Gi"}, "retention": [{"folder": "Trash", "days": 1}]}
UNSIGNED = Account("dan@unsigned.test", "another-password")
QUICK = {"retry_first": 1, "retry_longest": 2, "backoff_first": 0.2, "backoff_longest": 1}
SITE = """\
import json, os, sys
if "mailoperator.child" in sys.orig_argv:
    from mailpod import config
    from mailpod.pop3.session import Session
    def merged(old, new):
        for name, value in new.items():
            old[name] = merged(old.get(name) or {}, value) if isinstance(value, dict) else value
        return old
    parse = config.parse
    config.parse = lambda text: parse(json.dumps(merged(json.loads(text), json.loads(os.environ["POD_SETTINGS"]))))
    async def top(*_):
        raise ZeroDivisionError
    Session.do_TOP = top
    from mailpod.retention import keeper
    keeper._DAY = 1
"""


class Proxy:
    """In front of the bucket's server. `delay`: of each answer, in seconds."""

    def __init__(self, port: int) -> None:
        self.to, self.delay, self.closed, self.port = port, 0.0, False, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        try:
            await asyncio.gather(self._copy(reader, back, slow=False), self._copy(there, writer, slow=True))
        except OSError:
            pass
        finally:
            writer.close()
            back.close()

    async def _copy(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, slow: bool) -> None:
        while data := await source.read(1 << 16):
            if self.closed:
                raise ConnectionResetError
            if slow and self.delay:
                await asyncio.sleep(self.delay)
            to.write(data)
            await to.drain()
        to.close()


class Parts(FakeParts):
    """Keys and DNS of the operator's domains, which may be wanting."""

    missing = broken = False

    async def check(
        self, domain: MailDomain, host: MailDomain, addresses: Sequence[str]
    ) -> tuple[list[Raw], Condition]:
        found = [{"type": "MX", "name": "host.test", "value": "10 mail.host.test.", "resolves": "True"}]
        if self.missing:
            found.append({"type": "TXT", "name": "s._domainkey.host.test", "value": "v=DKIM1", "resolves": "False"})
            return found, c.bad(c.DNS_READY, "RecordsMissing", "no DKIM")
        return found, c.good(c.DNS_READY)

    async def ensure(self, host: MailDomain, members: Sequence[MailDomain]) -> Any:
        if self.broken:
            await asyncio.sleep(1.5)  # so that a scrape sees it under way
            raise ApiError(500, "InternalError", "etcd is unwell")
        return await super().ensure(host, members)


class Failing(MemoryObjects):
    """A bucket that may refuse what is written."""

    fails = False

    async def create(self, key: str, data: Any) -> Any:
        if self.fails:
            raise StorageError("refused")
        return await super().create(key, data)


class OperatorWorld:
    """The operator, and what it works on."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.plane, self.parts = FakePlane(self.kube), Parts()
        self.kube.user_applies(domain("host", "host.test"), mailbox("alice", "host", quota={"storage": "100Mi"}))
        self.operator = make_operator(self.kube, self.plane, self.parts)
        self.objects = Failing()
        self.directory = DirectorySync(
            self.objects, signing_key=new_signing_key(), clock=SystemClock(), rng=random.Random(1), grace=1.0,
            holds_claim=_yes,
        )  # fmt: skip
        self.port = free_port()
        self.ballast, self._entries = b"", 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.operator.run())
        health = await serve("127.0.0.1", self.port, alive=_yes, ready=lambda: True)
        with told(self.operator.context.world):
            await self.operator.context.leader.wait()
            await self.look()
            self._pods_are_available()
            await self.look()
            yield
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await health.cleanup()

    def _pods_are_available(self) -> None:
        deployment = self.kube.objects["apps/v1", "Deployment", "n", "host"]
        names = ("replicas", "updatedReplicas", "availableReplicas")
        deployment["status"] = {"observedGeneration": 99} | dict.fromkeys(names, deployment["spec"].get("replicas", 1))

    async def look(self) -> None:
        """Let it look at everything, and see what it wrote."""
        await self.operator.sweep()
        await asyncio.wait_for(self.operator.settled(), 20)
        for raw in list(self.kube.objects.values()):
            self.operator.see("MODIFIED", raw)

    async def publish(self) -> None:
        """Another Mailbox's entry into the directory; a bucket that fails is the operator's to tell."""
        self._entries += 1
        local = f"m{self._entries}"
        entry = MailboxEntry(address=f"{local}@host.test", domain="host.test", local=local, owner=f"n/{local}")
        with contextlib.suppress(StorageError, MailError):
            await self.directory.publish_one([entry])

    async def ask_api(self) -> None:
        """With the operator's own client, of an API server that is not there."""
        client = ApiClient(Configuration(host=f"http://127.0.0.1:{free_port()}"))
        try:
            with contextlib.suppress(ApiError):
                await Kube(client).version()
        finally:
            await client.close()  # type: ignore[no-untyped-call]


class FaultWorld:
    """Everything. `running` starts and ends it."""

    def __init__(self, home: Path, make: MakeMailpod) -> None:
        self.home, self._make = home, make
        self.bucket = Seaweed(home / "weed")
        self.proxy = Proxy(int(self.bucket.endpoint.rpartition(":")[2]))
        chooser = random.SystemRandom()
        self.names = NameServer(home / "dns", f"127.{chooser.randrange(1, 255)}.{chooser.randrange(1, 255)}.53")
        self.peer, self.silent = Peer(), Peer()
        self.silent.say("connect", "(says nothing)…")
        self.operator = OperatorWorld()
        self.server: Mailpod
        self.numbers = itertools.count()
        self.held: list[Any] = []  # connections that stay open

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as ends:
            self.proxy.port = await _listen(ends, self.proxy.serve)
            self.peer.port = await _listen(ends, self.peer.serve)
            await _listen(ends, self.silent.serve, "127.0.0.3", self.peer.port)
            await asyncio.to_thread(self._start)
            ends.push_async_callback(asyncio.to_thread, self.names.stop)
            ends.push_async_callback(asyncio.to_thread, self.bucket.stop)
            ends.push_async_callback(asyncio.to_thread, self.server.stop)
            await ends.enter_async_context(self.operator.running())
            ends.callback(self.let_go)
            yield

    def let_go(self) -> None:
        while self.held:
            self.held.pop().sock.close()

    def _start(self) -> None:
        self.bucket.start()
        self.names.zone("far.test", ["@ MX 10 mx", "mx A 127.0.0.1"])
        self.names.zone("silent.test", ["@ MX 10 mx", "mx A 127.0.0.3"])
        self.names.zone("down.test", ["@ MX 10 mx", "mx A 127.0.0.4"])
        self.names.zone("bl.test", [f"{'.'.join(reversed(LISTED.split('.')))} A 127.0.0.2"])
        self.names.start()
        (self.home / "site").mkdir()
        (self.home / "site" / "sitecustomize.py").write_text(SITE)
        url = self.bucket.url("trial").replace(self.bucket.endpoint, f"http://127.0.0.1:{self.proxy.port}")
        environment = {"PYTHONPATH": str(self.home / "site")}
        environment["POD_SETTINGS"] = json.dumps(self._settings())
        self.server = self._make(
            6, start=False, pods=2, bucket=url, environment=environment | self.bucket.environment,
            mailboxDefaults=DEFAULTS, forwardingPolicy="Any",
        )  # fmt: skip
        more = [
            *manifest.mailbox(FULL, quota={"storage": "600"}),
            *manifest.mailbox(NEARLY_FULL, quota={"messages": 10}),
            *manifest.mailbox(FORWARDING, forwarding={"to": ["ann@far.test"]}),
            manifest.mail_domain("unsigned.test", "mx.unsigned.test"),
        ]
        self.more = yaml.safe_dump_all([*more, *manifest.mailbox(UNSIGNED)])
        self.write_manifest()
        self.server.start()

    @property
    def credentials(self) -> Path:
        """For the bucket, as AWS' file has them."""
        file, bucket = self.home / "credentials", self.bucket
        lines = (
            "[default]",
            f"aws_access_key_id={bucket.access_key}",
            f"aws_secret_access_key={bucket.secret_key}",
            "",
        )
        file.write_text("\n".join(lines))
        return file

    def write_manifest(self) -> None:
        self.server.write_manifest()
        text = self.server.manifest.read_text()
        self.server.manifest.write_text(f"{text}---\n{self.more}")

    def _settings(self) -> dict[str, Any]:
        return {
            "message_budget_bytes": 4 << 20,
            "max_connections_per_address": 40,
            "tls_poll_seconds": 0.5,
            "bucket_check_seconds": 0.5,
            "registry_sweep_seconds": 0.5,
            "store": {"commit_deadline": 4, "search_due": 8, "checkpoint_commits": 10_000},
            "queue": {"sweep_seconds": 1, "retry_first": 1, "retry_longest": 2, "takeover_seconds": 1},
            "outbound": {"port": self.peer.port} | QUICK,
            "smtp": {"blocklists": ["bl.test"]},
            "authres": {"unchecked_networks": []},
            "rspamd": {"url": f"http://127.0.0.1:{free_port()}"},
            "dns": {"resolver": self.names.resolver},
            "retention": {"look_seconds": 1, "patience": 0.1},
        }

    # what is in its folder

    def certify(self, days: float) -> None:
        """The pods have another certificate, for so many days."""
        issue(None, manifest.HOSTNAME, days=days).write(self.server.data / ".local")

    def key_states(self, name: str) -> list[Path]:
        """The files that say which DKIM keys a domain uses."""
        return list((self.server.data / ".local" / "keys").glob(f"*/{name}.dkim.json"))

    def age_keys(self, days: float) -> None:
        """example.test's keys are used for so long, and their successors wait for half of that."""
        for file in self.key_states(manifest.DOMAIN):
            state = json.loads(file.read_text())
            state["pairs"][0]["used"] = _moment(days)
            state["pairs"].append({"id": "next", "made": _moment(days / 2), "used": None, "retired": None})
            file.write_text(json.dumps(state))


async def _yes() -> bool:
    return True


async def _listen(ends: contextlib.AsyncExitStack, serve: Any, host: str = "127.0.0.1", port: int = 0) -> int:
    server = await asyncio.start_server(serve, host, port)
    ends.callback(server.close)
    found: int = server.sockets[0].getsockname()[1]
    return found


def _moment(days_ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days_ago * 86_400))
