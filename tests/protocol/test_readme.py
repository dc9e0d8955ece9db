"""A newcomer's walk: README's own commands, word for word, on a fresh clone, to the first mail sent and read."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from tests.harness import processes
from tests.harness.need import missing, need
from tests.harness.ports import is_free, wanted

ROOT = Path(__file__).parents[2]
WALK_SECONDS = 300.0
OF_MAKE = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "ARGS")  # of a make that runs these tests


def blocks() -> list[str]:
    """README's indented blocks, up to its map."""
    text = (ROOT / "README.md").read_text().partition("## Where things are")[0]
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)]


@pytest.mark.slow
def test_readmes_commands_lead_to_the_first_mail(tmp_path: Path) -> None:
    if not all(map(is_free, wanted(10_000))):
        missing("a machine whose ports from 10024 on are free")
    need("curl")
    make, *banner = blocks()
    send_and_read = next(block for block in banner if "printf" in block)
    first = make.splitlines()[0].partition("#")[0].strip()
    assert first == "make run"
    clone = tmp_path / "mailpod"
    subprocess.run([need("git"), "clone", "-q", ROOT, clone], check=True, capture_output=True)
    began = time.monotonic()
    log = (tmp_path / "log").open("w+")
    served = subprocess.Popen(
        ["bash", "-c", first],
        cwd=clone,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name not in OF_MAKE},
    )
    try:
        said = Path(log.name).read_text
        processes.wait_until(lambda: served.poll() is not None or "Ctrl-C" in said(), WALK_SECONDS, "make run serves")
        assert served.poll() is None, said()
        shown = [line.strip() for block in banner[: banner.index(send_and_read)] for line in block.splitlines()]
        assert not [line for line in shown if line not in said()]
        done = subprocess.run(["bash", "-ec", send_and_read], cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Subject: Hello" in done.stdout
        assert time.monotonic() - began < WALK_SECONDS
    finally:
        processes.end(served)
        log.close()
