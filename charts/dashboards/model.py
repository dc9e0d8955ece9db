"""What a dashboard is made of, and its JSON as Grafana imports it. Pure.

- A panel has a unit and a description: what it shows, and what to do when it is not as it should be.
- `$job` are the mail pods' scrape jobs, `$operator` the operator's. `BY` keeps a pod's name where Prometheus' operator
  gave it one, and the address where the scrape configuration is plain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Unit: TypeAlias = Literal[
    "short", "none", "s", "bytes", "Bps", "percentunit", "mps", "reqps", "ops", "cps", "currencyUSD", "bool_on_off"
]
BY: Final = "pod, instance"
WHICH: Final = "{{pod}} {{instance}}"
_SCHEMA: Final = 39  # Grafana 11's; newer ones convert it
_COLUMNS: Final = 24
GREEN, YELLOW, RED = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Query:
    """A line, or several: `legend` tells them apart."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """`steps` are thresholds: from which value on which colour, the first from anything on."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat"] = "timeseries"
    steps: tuple[tuple[float, str], ...] = ()
    base: str = GREEN
    width: int = 8
    height: int = 7
    stack: bool = False
    exemplars: bool = False
    link: str = ""
    """The uid of the dashboard with more of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """Something to choose above the panels: of a query, or a number to type."""

    name: str
    label: str
    query: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One file."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


PODS: Final = Variable("job", "Server", query="label_values(mailpod_open_connections, job)")
OPERATOR: Final = Variable("operator", "Operator", query="label_values(mailpod_operator_queue, job)")


def stat(
    title: str,
    description: str,
    unit: Unit,
    expr: str,
    *steps: tuple[float, str],
    base: str = GREEN,
    width: int = 4,
    link: str = "",
) -> Panel:
    """A number, coloured by where it stands."""
    return Panel(title, description, unit, (Query(expr),), "stat", steps, base, width=width, height=4, link=link)


def graph(title: str, description: str, unit: Unit, *queries: tuple[str, str], **more: Any) -> Panel:
    """Lines over time; each query is its expression and its legend."""
    return Panel(title, description, unit, tuple(Query(*query) for query in queries), **more)


def rendered(dashboard: Dashboard, others: Sequence[Dashboard]) -> dict[str, Any]:
    """Grafana's JSON. `others` are linked to at the top."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["mailpod"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [_link(other) for other in others if other.uid != dashboard.uid],
        "templating": {"list": [_source(), *map(_variable, dashboard.variables)]},
        "panels": list(_panels(dashboard)),
    }


def _link(other: Dashboard) -> dict[str, Any]:
    return {"type": "link", "title": other.title, "url": f"/d/{other.uid}", "keepTime": True, "includeVars": True}


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(variable: Variable) -> dict[str, Any]:
    if not variable.query:
        return {"name": variable.name, "label": variable.label, "type": "textbox", "query": variable.value}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    number = top = 0
    for row in dashboard.rows:
        number += 1
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            number += 1
            if left + panel.width > _COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield _panel(panel, number, place)
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps = [{"value": None, "color": panel.base}, *({"value": value, "color": color} for value, color in panel.steps)]
    custom = {"fillOpacity": 15 if panel.stack else 0, "stacking": {"mode": "normal" if panel.stack else "none"}}
    if panel.steps and panel.kind == "timeseries":
        custom["thresholdsStyle"] = {"mode": "line"}
    made = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0 if panel.kind == "timeseries" else None,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": custom if panel.kind == "timeseries" else {},
            },
            "overrides": [],
        },
        "options": _options(panel),
        "targets": [_target(panel, query, number) for number, query in enumerate(panel.queries)],
    }
    if panel.link:
        made["links"] = [{"title": "More of it", "url": f"/d/{panel.link}?${{__url_time_range}}"}]
    return made


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "area"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _target(panel: Panel, query: Query, number: int) -> dict[str, Any]:
    target = {
        "refId": chr(ord("A") + number),
        "datasource": _DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
    }
    return target | {"exemplar": True} if panel.exemplars else target
