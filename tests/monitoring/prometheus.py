"""A Prometheus of a test's own, which scrapes every second, and the questions that a test has for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.harness import processes
from tests.harness.need import need
from tests.harness.ports import free_port


class Prometheus:
    """It is ready; `targets` are HOST:PORT by job."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The vector that an expression has now, or `at` a time; a scalar is one without labels."""
        result = self._get("query", query=expression, **({} if at is None else {"time": at}))
        if result["resultType"] == "scalar":
            return [{"metric": {}, "value": result["result"]}]
        return list(result["result"])

    def value(self, expression: str) -> float:
        """The sum of what an expression has now."""
        return sum(float(sample["value"][1]) for sample in self.query(expression))

    def range(self, expression: str, start: float, end: float, step: float = 1.0) -> list[dict[str, Any]]:
        return list(self._get("query_range", query=expression, start=start, end=end, step=step)["result"])

    def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        return list(self._get("query_exemplars", query=expression, start=start, end=end))

    def _get(self, path: str, **query: object) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None


@contextlib.contextmanager
def prometheus(
    folder: Path, targets: Mapping[str, Sequence[str]], rules: Sequence[Path] = (), lookback: str = "5m"
) -> Iterator[Prometheus]:
    """Run one until the test is done. A value counts as the present one for `lookback`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rule) for rule in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(where)}]} for job, where in targets.items()
        ],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    options = [
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--query.lookback-delta={lookback}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [need("prometheus"), *options, "--enable-feature=exemplar-storage", "--log.level=warn"],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        processes.wait_until(lambda: _is_ready(url), 30, "Prometheus is ready")
        yield Prometheus(url)
    finally:
        processes.end(process)


def _is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
        return bool(answer.status == 200)
    return False
