"""Each fault is caused in a world that runs: its alerts have no series before and have them after, its panels move.

How long an alert waits (`for`) is promtool's to test (tests/charts/test_alerts.py): here windows are ten seconds.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
import time
from pathlib import Path

import pytest
from charts.dashboards.__main__ import DASHBOARDS
from tests.charts.test_alerts import rules
from tests.conftest import MakeMailpod
from tests.harness.need import need
from tests.harness.ports import HTTP
from tests.monitoring.acts import ACTS
from tests.monitoring.expressions import filled_in
from tests.monitoring.faults import AHEAD, Fault
from tests.monitoring.faultworld import FaultWorld
from tests.monitoring.prometheus import Prometheus, prometheus

SECONDS = 120.0  # at most, for an act
PANELS = {
    f"{dashboard.uid.removeprefix('mailpod-')}: {row.title}: {panel.title}": panel
    for dashboard in DASHBOARDS
    for row in dashboard.rows
    for panel in row.panels
}


def fires(seen: Prometheus, name: str, fault: Fault, at: float) -> bool:
    return bool(seen.query(re.sub(r"\[\d+[mh]\]", f"[{fault.window}]", rules()[name]["expr"]), at))


def shown(seen: Prometheus, name: str, fault: Fault, at: float) -> float:
    """All lines of a panel together; nothing is 0."""
    expressions = [query.expr.replace("$__rate_interval", fault.window) for query in PANELS[name].queries]
    found = [float(sample["value"][1]) for each in expressions for sample in seen.query(filled_in(each), at)]
    return sum(value for value in found if not math.isnan(value))


def test_every_alert_and_every_panel_has_its_fault() -> None:
    faults = [fault for act in ACTS for fault in act]
    assert sorted(name for fault in faults for name in fault.alerts) == sorted(rules())
    assert sorted(name for fault in faults for name in (*fault.rises, *fault.falls)) == sorted(PANELS)


@pytest.mark.slow
async def test_each_fault_fires_its_alerts_and_moves_its_panels(make_mailpod: MakeMailpod, tmp_path: Path) -> None:
    need("weed")
    need("prometheus")
    world = FaultWorld(tmp_path, make_mailpod)
    async with world.running():
        pods = [f"127.0.0.1:{world.server.offset + HTTP + pod}" for pod in range(2)]
        targets = {"pods": pods, "operator": [f"127.0.0.1:{world.operator.port}"]}
        with prometheus(tmp_path / "prometheus", targets, lookback="3h") as seen:
            await _until(lambda: seen.value('sum(up{job="pods"})') == 2 and seen.value("sum(up)") == 3)
            await _until(lambda: seen.value("sum(mailpod_operator_leading)") == 1)
            await asyncio.sleep(2)
            for act in ACTS:
                await _play(act, world, seen)


async def _play(act: tuple[Fault, ...], world: FaultWorld, seen: Prometheus) -> None:
    world.proxy.delay = 0.0
    await _until(lambda: not _firing(act, seen))  # a check may have waited too long for a bucket that was slow before
    before = await asyncio.to_thread(_all_shown, act, seen)
    waited, end, first = {*before, *(name for fault in act for name in fault.alerts)}, time.monotonic() + SECONDS, True
    while waited:
        assert time.monotonic() < end, f"not seen: {sorted(waited)}"
        for fault in act:
            if first or fault.again:
                await _cause(fault, world)
        first = False
        await asyncio.to_thread(_look, act, before, waited, seen)
        await asyncio.sleep(0.2)


def _all_shown(act: tuple[Fault, ...], seen: Prometheus) -> dict[str, float]:
    """What the panels of an act show."""
    before, now = dict[str, float](), time.time()
    for fault in act:
        before |= {name: shown(seen, name, fault, now) for name in (*fault.rises, *fault.falls)}
    return before


def _firing(act: tuple[Fault, ...], seen: Prometheus) -> list[str]:
    now = time.time()
    return [name for fault in act for name in fault.alerts if fires(seen, name, fault, now)]


async def _cause(fault: Fault, world: FaultWorld) -> None:
    if inspect.iscoroutinefunction(fault.cause):
        await fault.cause(world)
    else:
        await asyncio.to_thread(fault.cause, world)


def _look(act: tuple[Fault, ...], before: dict[str, float], waited: set[str], seen: Prometheus) -> None:
    """Take away what can be seen now."""
    for fault in act:
        at = time.time() + (AHEAD if fault.later else 0.0)
        waited -= {name for name in waited & {*fault.alerts} if fires(seen, name, fault, at)}
        waited -= {name for name in waited & {*fault.rises} if shown(seen, name, fault, at) > before[name]}
        waited -= {name for name in waited & {*fault.falls} if shown(seen, name, fault, at) < before[name]}


async def _until(holds: object) -> None:
    end = time.monotonic() + SECONDS
    while not await asyncio.to_thread(holds):  # type: ignore[arg-type]
        assert time.monotonic() < end
        await asyncio.sleep(0.2)
