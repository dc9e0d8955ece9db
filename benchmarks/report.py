"""All benchmarks, one table: `python -m benchmarks.report [--quick] [--systems folder,seaweedfs,peers]`."""

from __future__ import annotations

from benchmarks.append_store import append_store
from benchmarks.common import main
from benchmarks.deliver import deliver
from benchmarks.fetch import fetch
from benchmarks.pop3 import pop3
from benchmarks.search import search
from benchmarks.sessions import sessions

if __name__ == "__main__":
    main(deliver, fetch, append_store, search, pop3, sessions)
