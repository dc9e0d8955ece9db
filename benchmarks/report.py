"""All benchmarks, and how far each row is from TARGETS.md's aim, the peer's figure in the same run and maddy's.

    python -m benchmarks.report [--minutes 15] [--scale 0.5] [--quick] [--only deliver,fetch] [--profile FOLDER]

Rows that it does not have: 100,000 and 1,000,000 messages (`benchmarks.million`). With `--profile` it prints what took
the most CPU in the pod for each piece of work; the figures are slower then.
"""

from __future__ import annotations

from benchmarks.append_store import append_store
from benchmarks.common import main
from benchmarks.deliver import deliver
from benchmarks.fetch import fetch
from benchmarks.outbound import outbound
from benchmarks.pop3 import pop3
from benchmarks.search import search
from benchmarks.sessions import sessions

if __name__ == "__main__":
    main(deliver, fetch, append_store, search, pop3, sessions, outbound)
