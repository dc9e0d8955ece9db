"""How many CPUs this process may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""Of our own control group, as a container sees it: microseconds of CPU, or "max", and in how many."""


def usable_cpus(quota: Path = QUOTA) -> float:
    """As the scheduler was told, and no more than the limit of the container."""
    there = float(len(os.sched_getaffinity(0)))
    try:
        most, period = quota.read_text().split()
        return there if most == "max" else min(there, int(most) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no control group, or one of version 1
        return there
