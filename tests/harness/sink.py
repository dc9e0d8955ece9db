"""Postfix's smtp-sink: a server that takes everything, and writes each message to a file."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.harness import processes
from tests.harness.need import need
from tests.harness.pods import answers
from tests.harness.ports import free_port


class Sink:
    def __init__(self, folder: Path | None, port: int) -> None:
        self.folder, self.port = folder, port

    def times(self) -> dict[str, list[float]]:
        """When each message came, by its Subject."""
        found: dict[str, list[float]] = defaultdict(list)
        for path in self.folder.iterdir() if self.folder else ():
            text = path.read_text(errors="replace")
            if "\nSubject: " in text:
                found[text.partition("\nSubject: ")[2].partition("\n")[0].strip()].append(path.stat().st_mtime)
        return found


@contextlib.contextmanager
def running(folder: Path | None, *options: str) -> Iterator[Sink]:
    """Without a folder it keeps nothing."""
    command, sink = [need("smtp-sink"), *options], Sink(folder, free_port())
    if folder is not None:
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        command += ["-R", str(folder), "-d", "%H%M%S."] if os.geteuid() == 0 else ["-d", f"{folder}/%H%M%S."]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    process = subprocess.Popen([*command, f"127.0.0.1:{sink.port}", "500"], start_new_session=True)
    try:
        processes.wait_until(lambda: answers(sink.port), 10, "smtp-sink listens")
        yield sink
    finally:
        processes.end(process)
