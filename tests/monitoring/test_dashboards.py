"""A real Prometheus scrapes three pods and the operator under load; every dashboard and alert is asked of it.

Each selector has series, each panel a value in its unit, and the faults that the load causes show where they should.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client import REGISTRY, CollectorRegistry, Histogram
from tests.charts.test_alerts import RULES, rules
from tests.conftest import MakeMailpod
from tests.harness import manifest
from tests.harness.need import need
from tests.harness.ports import HTTP, free_port
from tests.harness.server import Mailpod
from tests.harness.target import Account
from tests.monitoring.expressions import filled_in, panels, selectors, unit_of
from tests.monitoring.load import Load
from tests.monitoring.prometheus import Prometheus, prometheus
from tests.operator.fakekube import FakeKube
from tests.operator.plane import FakeParts, FakePlane, Raw, domain, mailbox, make_operator

from mailoperator import conditions as c
from mailoperator import metrics
from mailoperator.conditions import Condition
from mailoperator.health import serve
from mailoperator.model import MailDomain
from mailoperator.world import World
from mailoperator.worldmetrics import told

PODS = 3
FULL = Account("full@example.test", "a-password")


async def yes() -> bool:
    return True


class NoMx(FakeParts):
    """All is well but the DNS."""

    async def check(
        self, domain: MailDomain, host: MailDomain, addresses: Sequence[str]
    ) -> tuple[list[Raw], Condition]:
        record = {"type": "MX", "name": domain.spec.domain_name, "value": "10 mail.host.test.", "resolves": "False"}
        return [record], c.bad(c.DNS_READY, "RecordsMissing", "no MX")


@contextlib.asynccontextmanager
async def operator_on(port: int) -> AsyncIterator[FakeKube]:
    """The operator over an API server in memory, with its own HTTP port."""
    kube = FakeKube()
    kube.user_applies(domain("host", "host.test"), mailbox("alice", "host"))
    operator = make_operator(kube, FakePlane(kube), NoMx())
    metrics.API_REQUESTS.labels("GET", 200)  # of Kube, which is not in it here
    running = asyncio.create_task(operator.run())
    health = await serve("127.0.0.1", port, alive=yes, ready=lambda: True)
    with told(operator.context.world):
        for raw in list(kube.objects.values()):
            operator.see("ADDED", raw)
        yield kube
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await health.cleanup()


def with_full_mailbox(server: Mailpod) -> Mailpod:
    documents = manifest.mailbox(FULL, quota={"storage": "600"})
    with server.manifest.open("a") as file:
        file.write("---\n" + yaml.safe_dump_all(documents))
    return server.start()


@dataclass
class Scene:
    """What a test of this file looks at."""

    prometheus: Prometheus
    server: Mailpod
    load: Load

    async def until(self, expression: str, holds: Callable[[float], bool], seconds: float = 20) -> None:
        """Wait for Prometheus to have seen it. The load goes on meanwhile."""
        end = time.monotonic() + seconds
        while not holds(self.prometheus.value(filled_in(expression))):
            assert time.monotonic() < end, f"{expression}: {self.prometheus.query(filled_in(expression))}"
            await asyncio.to_thread(self.load.run, 0.3)


Look = Callable[[Scene], Awaitable[None]]


async def looked_at(server: Mailpod, folder: Path, look: Look) -> None:
    need("prometheus")
    with_full_mailbox(server)
    port = free_port()
    pods = [f"127.0.0.1:{server.offset + HTTP + pod}" for pod in range(server.pods)]
    async with operator_on(port):
        with prometheus(folder / "prometheus", {"pods": pods, "operator": [f"127.0.0.1:{port}"]}, [RULES]) as seen:
            await look(Scene(seen, server, Load(server, FULL)))


def holds_all(found: Prometheus) -> list[str]:
    """What is wrong with any expression: no series for a selector, no value for a panel, a unit that does not fit."""
    wrong = []
    for name, panel in panels():
        for query in panel.queries:
            wrong += [f"{name}, {panel.title}: no series of {each}" for each in absent(found, query.expr)]
            if not found.query(filled_in(query.expr)):
                wrong.append(f"{name}, {panel.title}: no value of {query.expr}")
            if panel.unit not in unit_of(filled_in(query.expr)):
                wrong.append(f"{name}, {panel.title}: {panel.unit} is not among {unit_of(filled_in(query.expr))}")
    for name, rule in rules().items():
        wrong += [f"{name}: no series of {each}" for each in absent(found, rule["expr"])]
    return wrong


def absent(found: Prometheus, expression: str) -> list[str]:
    return [each for each in selectors(filled_in(expression)) if not found.query(each)]


async def test_every_expression_has_series_and_faults_show(make_mailpod: MakeMailpod, tmp_path: Path) -> None:
    defaults = {"quota": {"storage": "1Gi"}}
    server = make_mailpod(3, start=False, pods=PODS, outbound={"resolver": "127.0.0.1:9"}, mailboxDefaults=defaults)

    async def look(scene: Scene) -> None:
        began = time.time()
        seen = scene.until
        await seen('sum(up{job=~"$job"})', lambda up: up == PODS)
        await seen('sum(rate(mailpod_messages_received_total{outcome="refused"}[10s]))', lambda rate: rate > 0)
        await asyncio.to_thread(scene.load.run, 2)
        assert holds_all(scene.prometheus) == []

        await seen('sum(rate(mailpod_smtp_refusals_total{code="550 5.1.1"}[$__rate_interval]))', lambda rate: rate > 0)
        await seen("sum(rate(mailpod_messages_over_quota_total[$__rate_interval]))", lambda rate: rate > 0)
        await seen('sum(rate(mailpod_spool_handouts_total{outcome="delivered"}[10s]))', lambda rate: rate > 0)
        await seen('sum(mailpod_dkim_signed_total{outcome="signed"})', lambda count: count > 0)
        await seen('sum(mailpod_outbound_recipients_total{outcome="delayed"})', lambda count: count > 0)
        await asyncio.to_thread(scene.load.guess_passwords)
        await seen('sum(mailpod_logins_total{outcome="failed"})', lambda count: count == 4)
        await seen("sum(mailpod_login_throttled_total)", lambda count: count >= 1)
        await seen("sum(mailpod_login_suspects)", lambda count: count >= 2)
        await seen('sum(rate(mailpod_hints_total{what="received"}[10s]))', lambda rate: rate > 0)
        await seen('sum(mailpod_operator_dns_records_missing{type="MX"})', lambda missing: missing == 1)
        await seen('mailpod_operator_domain_condition{condition="Ready"}', lambda value: value == 0)

        found = scene.prometheus.exemplars("mailpod_command_duration_seconds_bucket", began, time.time())
        ids = {exemplar["labels"]["id"] for series in found for exemplar in series["exemplars"]}
        assert any(id in server.log_tail(limit=1_000_000) for id in ids)

    await looked_at(server, tmp_path, look)


def test_no_histogram_knows_domains_and_300_have_few_series() -> None:
    from mailpod import metrics as pod

    histograms = [each for each in vars(pod).values() if isinstance(each, Histogram)]
    assert histograms and not any("domain" in each._labelnames for each in histograms)

    def count() -> int:
        return sum(len(metric.samples) for metric in REGISTRY.collect() if metric.name.startswith("mailpod_"))

    before = count()
    for number in range(300):
        name = f"d{number}.series.test"
        pod.delivered(name)
        pod.OVER_QUOTA.labels(name)
        pod.dkim_keys(name, 1.0, 0.0)
        pod.CERTIFICATE_EXPIRY.labels(name)
        for direction in ("read", "write"):
            pod.bucket_bytes(direction, name)
        for operation, outcome in OUTCOMES:
            pod.bucket_requests(operation, outcome, name)
    series = count() - before
    for counter in (pod.DELIVERED_MESSAGES, pod.DELIVERED_BYTES, pod.OVER_QUOTA, pod.BUCKET_BYTES, pod.BUCKET_REQUESTS):
        counter.clear()
    for gauge in (pod.DKIM_USED, pod.DKIM_NEXT, pod.CERTIFICATE_EXPIRY):
        gauge.clear()
    for cached in (pod.delivered, pod.bucket_bytes, pod.bucket_requests):
        cached.cache_clear()
    assert series == 300 * (8 + len(OUTCOMES))


def test_the_operator_has_few_series_of_300_domains_too() -> None:
    world, registry = World(), CollectorRegistry()
    for number in range(300):
        name = f"d{number}"
        records = [
            {"type": type, "name": f"{type}.{name}.test", "value": "x", "resolves": "False"}
            for type in ("A", "AAAA", "CNAME", "MX", "SRV", "TXT", "TLSA")
        ]
        records.append({"type": "TXT", "name": f"s._domainkey.{name}.test", "value": "x", "resolves": "False"})
        world.put(domain(name, f"{name}.test") | {"status": {"dnsRecords": records}})
        world.put(mailbox("one", name))
    with told(world, registry):
        series = sum(len(metric.samples) for metric in registry.collect())
    conditions, usage, records_missing, states = 1 + len(c.DOMAIN_CONDITIONS), 2, 8, 3
    assert series == 300 * (conditions + usage + records_missing + states) + 3
    histograms = [each for each in vars(metrics).values() if isinstance(each, Histogram)]
    assert histograms and not {"maildomain", "domain"} & {name for each in histograms for name in each._labelnames}


OUTCOMES = [
    ("create", "ok"),
    ("create", "exists"),
    ("get", "ok"),
    ("get", "not_found"),
    ("get_range", "ok"),
    ("get_head", "ok"),
    ("get_head", "not_found"),
    ("list", "ok"),
    ("delete", "ok"),
    ("upload", "ok"),
]
"""What a busy domain's mailboxes ask of a bucket that works."""
