"""`python -m charts.dashboards --write`, or `--check` in CI: charts/mailpod/dashboards/ is what the code says."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from charts.dashboards import bucket, clients, mailflow, operator, overview
from charts.dashboards.model import rendered

DASHBOARDS = (overview.DASHBOARD, mailflow.DASHBOARD, clients.DASHBOARD, bucket.DASHBOARD, operator.DASHBOARD)
FOLDER = Path(__file__).parents[1] / "mailpod" / "dashboards"


def files() -> Iterator[tuple[Path, str]]:
    """Each file, and what is to stand in it."""
    for dashboard in DASHBOARDS:
        text = json.dumps(rendered(dashboard, DASHBOARDS), indent=1, ensure_ascii=False)
        yield FOLDER / f"{dashboard.uid.removeprefix('mailpod-')}.json", text + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or say which are not as they should be: 1 then."""
    parser = argparse.ArgumentParser(prog="python -m charts.dashboards", description=(__doc__ or "").partition(":")[2])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the JSON files")
    action.add_argument("--check", action="store_true", help="fail where they are not what --write would write")
    parsed = parser.parse_args(arguments)
    differ = [(path, text) for path, text in files() if not path.exists() or path.read_text() != text]
    for path, text in differ:
        if parsed.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        else:
            print(f"{path}: is not what the code says: python -m charts.dashboards --write", file=sys.stderr)
    return 1 if differ and parsed.check else 0


if __name__ == "__main__":
    sys.exit(main())
