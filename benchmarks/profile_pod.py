"""cProfile in the mail pod without a change to it: a `sitecustomize` that only the benchmark puts in its path.

SIGUSR1 begins and SIGUSR2 ends it, so that only what is measured is in it; `top` gives what took the most CPU.
"""

from __future__ import annotations

import os
import pstats
from pathlib import Path

SITE = """\
import os, sys
if "serve" in sys.orig_argv:
    import cProfile, itertools, signal, time
    profiler = cProfile.Profile(time.thread_time)
    numbers = itertools.count()
    def begin(*_):
        global profiler
        profiler = cProfile.Profile(time.thread_time)
        profiler.enable()
    def end(*_):
        profiler.disable()
        file = os.path.join(os.environ["MAILPOD_PROFILE"], f"pod-{os.getpid()}-{next(numbers)}")
        profiler.dump_stats(file + ".part")
        os.rename(file + ".part", file + ".prof")
    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
"""


def profiled(folder: Path) -> dict[str, str]:
    """The environment under which pods write their profiles into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "MAILPOD_PROFILE": str(folder)}


def top(folder: Path, count: int = 5) -> list[str]:
    """The functions with the most CPU of their own over all profiles, one a line: share, seconds, calls, where."""
    files = [str(file) for file in sorted(folder.glob("pod-*.prof"))]
    if not files:
        return ["no profile was written"]
    rows: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = pstats.Stats(*files).stats  # type: ignore[attr-defined]
    busy = {where: row for where, row in rows.items() if not waiting(where[2])}
    whole = sum(row[2] for row in busy.values())
    ranked = sorted(busy.items(), key=lambda item: -item[1][2])[:count]
    return [
        f"{own / whole:5.1%}  {own:7.2f} s  {calls:>9} calls  {Path(file).name}:{line} {name}"
        for (file, line, name), (_, calls, own, _, _) in ranked
    ]


def waiting(name: str) -> bool:
    """Whether a function's own time is that of waiting for events, not of work: the loop's select."""
    return "run_until_complete" in name or "epoll" in name or "select" in name or name.endswith("run_forever")
