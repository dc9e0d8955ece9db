"""The load generator as a test runs it: a process of its own, wherever the servers are reached."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
Wrap = Callable[[Sequence[str | Path]], list[str]]


class Loading:
    """One run; `plan` is load.py's Plan. `wrap` makes the command that runs where the servers are."""

    def __init__(self, *, wrap: Wrap | None = None, **plan: Any) -> None:
        self.plan = plan
        self.latest: dict[str, Any] = {}
        """The last progress."""
        self._result: dict[str, Any] | None = None
        self._began = threading.Event()
        command: list[str | Path] = [sys.executable, "-m", "tests.e2e.load"]
        self._command = wrap(command) if wrap else [str(part) for part in command]

    def __enter__(self) -> Loading:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._errors: list[str] = []
        self._readers = [threading.Thread(target=work, daemon=True) for work in (self._follow, self._complaints)]
        for reader in self._readers:
            reader.start()
        self._say(json.dumps(self.plan))
        if not self._began.wait(30):
            self.__exit__(None, None, None)
            raise AssertionError(f"the load did not begin:\n{''.join(self._errors)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)

    def healthy(self) -> None:
        """Raises AssertionError when the load has ended, or met what no client should."""
        faults = self.latest.get("faults", [])
        assert not faults, faults
        assert self._process.poll() is None, f"the load ended:\n{''.join(self._errors)}"

    def finish(self, seconds: float = 300) -> dict[str, Any]:
        """End the load once it has done what was planned; what it was, and the verdict."""
        self._say("stop")
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the load did not end; at last: {self.latest}") from None
        for reader in self._readers:
            reader.join(10)
        assert self._result is not None, f"the load ended without a verdict:\n{''.join(self._errors)}"
        return self._result

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            self.latest = said.get("progress", self.latest)
            self._result = said.get("result", self._result)
            self._began.set()
            if "progress" in said:
                print(line.strip()[:600])

    def _complaints(self) -> None:
        assert self._process.stderr is not None
        self._errors += self._process.stderr
