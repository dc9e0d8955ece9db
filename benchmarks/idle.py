"""How long after a delivery fifty idling sessions on three pods are told. `python -m benchmarks.idle`.

Milliseconds from SMTP's 250 on one pod to `* n EXISTS` at each session of all of them; folder store, fsync on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.harness import idlers, manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--pods", type=int, default=3)
    parser.add_argument("--deliveries", type=int, default=100, help="with hints; without them a twentieth")
    options = parser.parse_args()
    (account,) = manifest.accounts(1)
    print(f"{options.sessions} sessions, {options.pods} pods      p50      p90      p99      max  (ms)")
    for hints in (True, False):
        deliveries = options.deliveries if hints else max(2, options.deliveries // 20)
        with tempfile.TemporaryDirectory() as folder:
            found = idlers.run(
                Path(folder), account, hints=hints, sessions=options.sessions, deliveries=deliveries, pods=options.pods
            )
        row = [found[min(len(found) - 1, int(len(found) * part))] for part in (0.5, 0.9, 0.99, 1.0)]
        name = f"{'with' if hints else 'without'} hints ({deliveries})"
        print(f"{name:22}", *(f"{1000 * one:8.1f}" for one in row))


if __name__ == "__main__":
    main()
