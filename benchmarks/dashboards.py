"""Pictures of the dashboards from real series: three pods and the operator under load, a real Prometheus, Chromium.

    python -m benchmarks.dashboards docs/images --seconds 90

Grafana is not at hand; each panel is drawn as SVG by this file from the very expressions that the JSON has.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
import time
from html import escape
from pathlib import Path
from typing import Any

from charts.dashboards.__main__ import DASHBOARDS
from charts.dashboards.model import Dashboard, Panel
from tests.harness import manifest
from tests.harness.ports import HTTP, free_port
from tests.harness.server import Mailpod
from tests.monitoring.expressions import filled_in
from tests.monitoring.load import Load
from tests.monitoring.prometheus import Prometheus, prometheus
from tests.monitoring.test_dashboards import FULL, operator_on, with_full_mailbox

from benchmarks.pictures import shoot

_COLORS = ["#3274d9", "#e0752d", "#56a64b", "#a352cc", "#e02f44", "#1f9e9e", "#b8860b", "#6b7280", "#c15c9c", "#2f5597"]
_STATES = {"green": "#56a64b", "orange": "#e0752d", "red": "#e02f44"}
_COLUMN, _LINE = 50, 30  # pixels of Grafana's grid
_STYLE = """body { margin: 0; background: #f4f5f5; font: 12px sans-serif; color: #24292e; width: 1200px; padding: 8px; }
h1 { font-size: 18px; margin: 4px; } h2 { font-size: 13px; margin: 10px 4px 2px; clear: both; }
.row { display: flex; flex-wrap: wrap; } .panel { background: #fff; border: 1px solid #dcdee1; margin: 2px;
box-sizing: border-box; padding: 4px; overflow: hidden; } b { font-weight: 600; }
.stat { text-align: center; color: #fff; }
.stat p { font-size: 30px; margin: 18px 0; } .legend span { margin-right: 8px; white-space: nowrap; }"""


def value(number: float, unit: str) -> str:
    """A number as Grafana would write it, about."""
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
            if abs(number) >= size:
                return f"{number / size:.3g} {name}"
        return f"{number * 1000:.3g} ms"
    if unit in ("bytes", "Bps"):
        power = min(3, int(math.log(max(1.0, abs(number)), 1024)))
        return f"{number / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}{'/s' if unit == 'Bps' else ''}"
    if unit == "percentunit":
        return f"{number:.2%}"
    if unit == "currencyUSD":
        return f"${number:.2f}"
    return f"{number:.3g}" + {"mps": " msg/s", "reqps": " req/s", "ops": "/s", "cps": "/s"}.get(unit, "")


def legend(query_legend: str, labels: dict[str, str]) -> str:
    for name in ("pod", "instance", *labels):
        query_legend = query_legend.replace("{{" + name + "}}", labels.get(name, ""))
    return query_legend.strip() or "value"


def drawn(panel: Panel, found: Prometheus, start: float, end: float) -> str:
    series: list[tuple[str, list[tuple[float, float]]]] = []
    for query in panel.queries:
        for each in found.range(filled_in(query.expr), start, end):
            points = [(float(at), float(number)) for at, number in each["values"] if number != "NaN"]
            series.append((legend(query.legend, each["metric"]), points))
    size = f"width:{panel.width * _COLUMN - 4}px;height:{panel.height * _LINE}px"
    return _stat(panel, series, size) if panel.kind == "stat" else _graph(panel, series, size, start, end)


def _stat(panel: Panel, series: list[tuple[str, list[tuple[float, float]]]], size: str) -> str:
    last = series[0][1][-1][1] if series and series[0][1] else None
    color = panel.base
    for step, name in panel.steps:
        color = name if last is not None and last >= step else color
    text = "No data" if last is None else value(last, panel.unit)
    background = _STATES[color] if last is not None else "#8e8e8e"
    style = f"{size};background:{background}"
    return f'<div class="panel stat" style="{style}"><b>{escape(panel.title)}</b><p>{text}</p></div>'


def _graph(panel: Panel, series: list[Any], size: str, start: float, end: float) -> str:
    width, height = panel.width * _COLUMN - 90, panel.height * _LINE - 70
    top = max((number for _, points in series for _, number in points), default=0.0) or 1.0
    lines = []
    for index, (_, points) in enumerate(series):
        path = " ".join(
            f"{(at - start) / (end - start) * width:.1f},{height - number / top * height:.1f}" for at, number in points
        )
        color = _COLORS[index % len(_COLORS)]
        lines.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{path}"/>')
    grid = "".join(
        f'<line x1="0" x2="{width}" y1="{height * part}" y2="{height * part}" stroke="#e5e7ea"/>'
        f'<text x="-4" y="{height * part + 4}" text-anchor="end" fill="#6b7280">'
        f"{value(top * (1 - part), panel.unit)}</text>"
        for part in (0, 0.5, 1)
    )
    names = "".join(
        f'<span style="color:{_COLORS[index % len(_COLORS)]}">&#9632; {escape(name)}</span>'
        for index, (name, _) in enumerate(series)
    )
    inner = f'<g transform="translate(70,6)">{grid}{"".join(lines)}</g>'
    svg = f'<svg width="{width + 80}" height="{height + 12}">{inner}</svg>'
    words = f'<b>{escape(panel.title)}</b><br>{svg}<div class="legend">{names}</div>'
    return f'<div class="panel" style="{size}">{words}</div>'


def page(dashboard: Dashboard, found: Prometheus, start: float, end: float) -> tuple[str, int]:
    """HTML, and about how high it is."""
    parts, high = [f"<h1>{escape(dashboard.title)}</h1>"], 60
    for row in dashboard.rows:
        panels = "".join(drawn(panel, found, start, end) for panel in row.panels)
        parts.append(f'<h2>{escape(row.title)}</h2><div class="row">{panels}</div>')
        across = 24 // row.panels[0].width
        high += 30 + (-(-len(row.panels) // across)) * (row.panels[0].height * _LINE + 5)
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{''.join(parts)}", high


async def run(folder: Path, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        server = Mailpod(home / "mailpod", manifest.accounts(3), pods=3, outbound={"resolver": "127.0.0.1:9"})
        try:
            with_full_mailbox(server)
            port = free_port()
            pods = [f"127.0.0.1:{server.offset + HTTP + pod}" for pod in range(server.pods)]
            async with operator_on(port):
                targets = {"pods": pods, "operator": [f"127.0.0.1:{port}"]}
                with prometheus(home / "prometheus", targets) as found:
                    start = time.time() + 8
                    load = Load(server, FULL)
                    await asyncio.to_thread(load.run, seconds / 2)
                    await asyncio.to_thread(load.guess_passwords)
                    await asyncio.to_thread(load.run, seconds / 2)
                    for dashboard in DASHBOARDS:
                        text, high = page(dashboard, found, start, time.time())
                        file = home / f"{dashboard.uid}.html"
                        file.write_text(text)
                        target = folder / f"dashboard-{dashboard.uid.removeprefix('mailpod-')}.png"
                        await asyncio.to_thread(shoot, file.as_uri(), target, (1220, high))
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=90)
    chosen = parser.parse_args()
    asyncio.run(run(chosen.folder, chosen.seconds))


if __name__ == "__main__":
    main()
