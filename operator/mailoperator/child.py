"""A mail pod as local mode's child: `python -m mailoperator.child FD serve --config FILE`.

It is `mailpod serve` in this very process, and one thread that waits for the end of the pipe FD: the parent holds the
other end, so however the parent ends, the pod is told to drain, as by SIGTERM.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    lifeline = int(sys.argv[1])
    threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()
    sys.argv[:] = ["mailpod", *sys.argv[2:]]
    runpy.run_module("mailpod.cli", run_name="__main__")


def _watch(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: it returns when the parent is gone
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
