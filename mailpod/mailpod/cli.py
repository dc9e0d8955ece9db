"""`mailpod`: the console script. `serve` is a mail pod; the other commands are an administrator's tools."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvloop

from mailpod import logs
from mailpod.clock import SystemClock
from mailpod.config import ConfigError, PodSettings, load
from mailpod.expected import Expected
from mailpod.net.listener import ListenError
from mailpod.pod import Pod
from mailpod.store.opening import open_bucket
from mailpod.tools import du, fsck, inspect, queue, restore
from mailpod.tools.bucket import CannotRun
from mailpod.tools.teach import teach

_SWITCH_SECONDS: Final = 0.0005
"""Python's own 5 ms is what the loop would wait, while a thread computes, after each call that waits for the disk."""
_YOUNG_OBJECTS: Final = 10_000
"""What a command makes of a hundred messages is gone before so many are new: Python's own 700 looks at all of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status, 2 with a message on standard error for what the user must mend."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ConfigError, ListenError, CannotRun) as error:
        print(f"mailpod: {error}", file=sys.stderr)  # noqa: T201  for the person at the terminal
        return 2


def run_pod(options: argparse.Namespace) -> int:
    """Raises ConfigError, ListenError."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()  # going through the program itself, which stays anyway, would hold up all sessions for 20 to 40 ms
    gc.set_threshold(_YOUNG_OBJECTS)
    uvloop.run(serve(options.config, options.name))
    return 0


async def serve(config: Path, name: str | None) -> None:
    """Run a pod until it is told to stop. Raises ConfigError, ListenError."""
    expected, clock = Expected(config), SystemClock()
    met = await expected.wait(clock)
    settings = load(config)
    if name:
        settings = settings.model_copy(update={"name": name})
    logs.configure(pod=settings.name, level=settings.log_level)
    ending = None if met else asyncio.create_task(expected.end_when_met(clock, _end))
    await _serve(settings)
    if ending is not None:
        ending.cancel()


def _end() -> None:
    """As the kubelet does it."""
    os.kill(os.getpid(), signal.SIGTERM)


async def _serve(settings: PodSettings) -> None:
    bucket = settings.bucket
    try:
        objects = await open_bucket(bucket.url, credentials_file=bucket.credentials_file, ca_file=bucket.ca_file)
    except (ValueError, OSError) as error:
        raise ConfigError(f"bucket: {error}") from None
    try:
        pod = Pod(settings, objects)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"tls: {error}") from None
    await pod.run()


_EXAMPLES: Final = """\
A bucket is a folder, or s3://BUCKET/PREFIX?endpoint=URL with credentials in AWS_* or --credentials-file.
Pods may run meanwhile. --json is for programs. For example, in a clone after `make run`:

  mailpod fsck --bucket data                              is all of it whole?
  mailpod fsck --bucket data --account bob@mailpod.test   is one account?
  mailpod du --bucket data                                who takes how much
  mailpod inspect --bucket data bob@mailpod.test          what an account consists of
  mailpod inspect --bucket data bob@mailpod.test log 1    one commit of it
  mailpod queue --bucket data list                        what waits to be delivered

`mailpod COMMAND --help` says more of each; docs/recover.md is for when something is damaged.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mailpod",
        description="A mail pod of Mailpod, and tools for its bucket.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"Mailpod {version('mailpod')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve",
        help="serve mail until SIGTERM",
        **teach(
            "Serve mail until SIGTERM; then finish what runs, and leave. `mail-operator` writes FILE and starts this.",
            ("mailpod serve --config data/.local/pod-0.json", "the pod of `make run`, alone"),
        ),
    )
    serving.add_argument("--config", type=Path, required=True, metavar="FILE", help="the pod's settings, JSON")
    serving.add_argument("--name", metavar="NAME", help="the pod's name, where several have the same FILE")
    serving.set_defaults(run=run_pod)
    for tool in (fsck, du, inspect, queue, restore):
        tool.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
