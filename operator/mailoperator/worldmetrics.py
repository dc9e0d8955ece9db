"""Metrics of what the operator remembers of the cluster, made when they are asked for.

A MailDomain's conditions are a series each; Mailboxes, of which there are thousands, are only counted.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mailoperator import conditions as c
from mailoperator.gather import condition_of, told_bytes
from mailoperator.metrics import REGISTRY
from mailoperator.quantity import parse_quantity
from mailoperator.world import World

Raw: TypeAlias = dict[str, Any]
_VALUES: Final = {"True": 1.0, "False": 0.0, "Unknown": -1.0}
_NEAR: Final = 0.9  # of its quota, from which on a mailbox is near it


class WorldCollector(Collector):
    """What `world` holds now."""

    def __init__(self, world: World) -> None:
        self._world = world

    def collect(self) -> Iterable[Metric]:
        yield self._conditions()
        yield self._mailboxes()
        yield from self._usage()
        yield from self._dns()

    def _conditions(self) -> Metric:
        found = GaugeMetricFamily(
            "mailpod_operator_domain_condition",
            "A condition of a MailDomain: 1 true, 0 false, -1 unknown.",
            labels=["maildomain_namespace", "maildomain", "condition"],
        )
        for raw in self._world.all("MailDomain"):
            for type in (c.READY, *c.DOMAIN_CONDITIONS):
                condition = condition_of(raw, type)
                found.add_metric([*_names(raw), type], _VALUES[condition.status if condition else "Unknown"])
        return found

    def _mailboxes(self) -> Metric:
        found = GaugeMetricFamily(
            "mailpod_operator_mailboxes", "Mailboxes, by whether they are Ready.", labels=["ready"]
        )
        states = Counter(_state(raw) for raw in self._world.all("Mailbox"))
        for state in _VALUES:
            found.add_metric([state], states[state])
        return found

    def _usage(self) -> Iterator[Metric]:
        labels = ["maildomain_namespace", "maildomain"]
        used = GaugeMetricFamily(
            "mailpod_operator_domain_used_bytes", "What a MailDomain's mailboxes hold.", labels=labels
        )
        near = GaugeMetricFamily(
            "mailpod_operator_mailboxes_near_quota", "Mailboxes that hold nine tenths of their quota.", labels=labels
        )
        for raw in self._world.all("MailDomain"):
            mailboxes = self._world.mailboxes_of(_names(raw))
            used.add_metric(_names(raw), sum(told_bytes(mailbox) or 0 for mailbox in mailboxes))
            near.add_metric(_names(raw), sum(map(_is_near, mailboxes)))
        return iter((used, near))

    def _dns(self) -> Iterator[Metric]:
        records = GaugeMetricFamily(
            "mailpod_operator_dns_records",
            "Records in a MailDomain's status.dnsRecords, by whether the DNS has them; Unknown: it did not answer.",
            labels=["maildomain_namespace", "maildomain", "resolves"],
        )
        found = GaugeMetricFamily(
            "mailpod_operator_dns_records_missing",
            "Records of a MailDomain's status.dnsRecords that the DNS does not have.",
            labels=["maildomain_namespace", "maildomain", "type"],
        )
        for raw in self._world.all("MailDomain"):
            missing: Counter[str] = Counter()
            states: Counter[str] = Counter()
            for record in (raw.get("status") or {}).get("dnsRecords") or []:
                kind = "DKIM" if "._domainkey." in record["name"] else record["type"]
                missing[kind] += record["resolves"] == "False"
                states[record["resolves"]] += 1
            for kind, number in missing.items():
                found.add_metric([*_names(raw), kind], number)
            for state in _VALUES:
                records.add_metric([*_names(raw), state], states[state])
        return iter((records, found))


@contextlib.contextmanager
def told(world: World, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """While an operator runs, its world is among the metrics."""
    collector = WorldCollector(world)
    registry.register(collector)
    try:
        yield
    finally:
        registry.unregister(collector)


def _names(raw: Raw) -> tuple[str, str]:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _state(mailbox: Raw) -> str:
    condition = condition_of(mailbox, c.READY)
    return condition.status if condition else "Unknown"


def _is_near(mailbox: Raw) -> bool:
    quota = (mailbox.get("status") or {}).get("quota")
    return quota is not None and (told_bytes(mailbox) or 0) >= _NEAR * parse_quantity(quota)
