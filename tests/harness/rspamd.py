"""Debian's rspamd on free ports of 127.0.0.1, with the parts that a test names and no others.

Its own list of public suffixes takes half a minute to compile, so it is given a short one.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.harness import processes
from tests.harness.need import need
from tests.harness.ports import free_port

_PLUGINS = Path("/usr/share/rspamd/plugins")
_CONFIG = """
options {{
  filters = "{filters}"; enable_test_patterns = true; url_tld = "{home}/tld"; rrd = "{home}/rrd"; local_addrs = [];
  dns {{ nameserver = ["{resolver}"]; timeout = 5s; retransmits = 1; }}
  pidfile = "{home}/pid"; tempdir = "{home}"; control_socket = "{home}/control mode=0600";
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
{modules}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
{more}
"""


@dataclass(frozen=True)
class Rspamd:
    """`url` is its normal worker's; `home` a folder that it may write to."""

    url: str
    home: Path


@contextlib.contextmanager
def running(
    *,
    filters: str = "",
    plugins: Sequence[str] = (),
    resolver: str = "127.0.0.1:1",
    suffixes: Sequence[str] = ("com", "example"),
    more: str = "",
) -> Iterator[Rspamd]:
    """`more` is configuration, in which {home} stands for the folder."""
    program, port = need("rspamd"), free_port()
    with tempfile.TemporaryDirectory(prefix="mailpod-rspamd-") as folder:
        home = Path(folder)
        home.chmod(0o777)  # it gives up being root
        (home / "tld").write_text("".join(f"{suffix}\n" for suffix in suffixes))
        paths = " ".join(f'path = "{_PLUGINS / plugin}.lua";' for plugin in plugins)
        config = _CONFIG.format(
            home=home,
            port=port,
            filters=filters,
            modules=f"modules {{ {paths} }}" if paths else "",
            resolver=resolver,
            more=more.replace("{home}", str(home)),
        )
        (home / "rspamd.conf").write_text(config)
        command = [program, "-f", "-i", "-c", str(home / "rspamd.conf")]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            processes.wait_until(partial(answers, port), 60, "rspamd answers")
            yield Rspamd(f"http://127.0.0.1:{port}", home)
        finally:
            processes.end(process)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
