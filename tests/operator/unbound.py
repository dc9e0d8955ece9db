"""A real resolver for tests: unbound on a free port of 127.0.0.1, which answers from what it is told alone."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.harness.need import need
from tests.harness.ports import free_port


@contextlib.contextmanager
def running(
    folder: Path, records: Sequence[str], *, zones: Sequence[str] = ("test.",), refused: Sequence[str] = ()
) -> Iterator[str]:
    """HOST:PORT of one that has these records; everything else in `zones` does not exist, and beyond them all fails.

    It fails at once for names in `refused`.
    """
    program = need("unbound")
    port = free_port()
    lines = [f"local-data: '{record}'" for record in records]
    zone_lines = [f'local-zone: "{zone}" static' for zone in zones]
    zone_lines += [f'local-zone: "{zone}" always_refuse' for zone in refused]
    config = folder / "unbound.conf"
    config.write_text(
        "server:\n"
        + "\n".join(
            f"  {line}"
            for line in [
                f'directory: "{folder}"',
                'username: ""',
                'chroot: ""',
                f'pidfile: "{folder}/unbound.pid"',
                "do-daemonize: no",
                "use-syslog: no",
                f"interface: 127.0.0.1@{port}",
                "do-not-query-localhost: no",
                "num-threads: 1",
                *zone_lines,
                *lines,
            ]
        )
        + '\nremote-control:\n  control-enable: no\nforward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@1\n'
    )
    process = subprocess.Popen([program, "-d", "-c", str(config)], stderr=subprocess.PIPE)
    try:
        _wait(process, port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Until it takes TCP."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr
            raise AssertionError(f"unbound ended: {process.stderr.read().decode()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise AssertionError("unbound does not listen")
