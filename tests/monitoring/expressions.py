"""Dashboards and alerts as a test sees them: their expressions, the selectors in those, and what unit a value has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from charts.dashboards.__main__ import DASHBOARDS
from charts.dashboards.model import Panel

_METRIC = r"(?:mailpod_|process_)\w+|\bup\b"
_SELECTOR = re.compile(rf"({_METRIC})(\{{[^}}]*\}})?")
_VALUES = {"$job": "pods", "$operator": "operator", "$__rate_interval": "10s"}
_MESSAGES = (
    "_messages_",
    "_spool_",
    "_outbound_recipients_",
    "_dkim_signed_",
)  # what counts messages, or copies of them
_TYPED = {"$writes": "0.005", "$reads": "0.0004", "$storage": "0.023"}


def panels() -> Iterator[tuple[str, Panel]]:
    """Every panel, with its dashboard's name."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            yield dashboard.uid, panel


def filled_in(expression: str) -> str:
    """As Grafana sends it: variables replaced, `pods` and `operator` being the test's jobs."""
    for name, value in (_VALUES | _TYPED).items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def selectors(expression: str) -> list[str]:
    """What an expression asks for: metric names with their labels."""
    return [name + (labels or "") for name, labels in _SELECTOR.findall(expression)]


def unit_of(expression: str) -> set[str]:
    """The units that the value of an expression may be shown in, by the names of its metrics (a suffix is the unit)."""
    names = {name for name, _ in _SELECTOR.findall(expression)}
    if "* 2592000" in expression or "1e9" in expression:
        return {"currencyUSD"}
    if (len(names) == 2 and " / " in expression) or ("outcome=" in expression and " / " in expression):
        return {"percentunit"}
    if any("timestamp_seconds" in name or name.endswith("_seconds_bucket") for name in names):
        return {"s"}
    if all(name.endswith("_bytes") for name in names):
        return {"bytes"}
    if all(name.endswith("_bytes_total") for name in names):
        return {"Bps"}
    if names == {"process_cpu_seconds_total"}:
        return {"percentunit"}
    if all(name.endswith("_total") for name in names):
        assert "rate(" in expression, expression
        return {"mps"} if any(word in name for name in names for word in _MESSAGES) else {"ops", "reqps", "cps"}
    return {"none", "short"}
