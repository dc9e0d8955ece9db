"""Every metric of the operator, in a registry of its own: the pods' (mailpod.metrics) would be told as its own zeros.

Labels are kinds, verbs, outcomes and MailDomains; never a Mailbox, of which there are thousands.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
_SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

RECONCILED = Counter(
    "mailpod_operator_reconciled_total",
    "Reconciliations, by kind and outcome: done, failed, not-leading.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "mailpod_operator_reconcile_duration_seconds",
    "Time a reconciliation took.",
    ["kind"],
    buckets=_SLOW,
    registry=REGISTRY,
)
WAITING = Gauge("mailpod_operator_queue", "Objects that wait to be reconciled, or are.", registry=REGISTRY)
FAILING = Gauge("mailpod_operator_failing", "Objects whose last reconciliation failed.", registry=REGISTRY)
SWEPT = Counter("mailpod_operator_sweeps_total", "Sweeps that listed everything.", registry=REGISTRY)
SWEPT_AT = Gauge(
    "mailpod_operator_sweep_timestamp_seconds", "When everything was last listed; 0: not yet.", registry=REGISTRY
)
LEADING = Gauge("mailpod_operator_leading", "1 while this operator holds the Lease.", registry=REGISTRY)
API_REQUESTS = Counter(
    "mailpod_operator_api_requests_total",
    "Requests to the API server, by HTTP status; 0: no answer.",
    ["method", "status"],
    registry=REGISTRY,
)
PUBLISHED = Counter(
    "mailpod_operator_directory_entries_total",
    "Entries of directories that were written or withdrawn.",
    ["what"],
    registry=REGISTRY,
)
PUBLISH_SECONDS = Histogram(
    "mailpod_operator_directory_publish_duration_seconds",
    "Time it took to bring one owner's entries in line.",
    buckets=_SLOW,
    registry=REGISTRY,
)
PUBLISH_FAILED = Counter(
    "mailpod_operator_directory_failures_total", "Attempts on a directory that its bucket failed.", registry=REGISTRY
)

# at 0 from the start: Prometheus sees no increase in a counter that first appears with its first fault
for _what in ("written", "withdrawn"):
    PUBLISHED.labels(_what)
for _kind in ("MailDomain", "Mailbox", "Directory"):
    for _outcome in ("done", "failed", "not-leading"):
        RECONCILED.labels(_kind, _outcome)
