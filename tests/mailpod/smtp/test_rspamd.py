"""Debian's rspamd is asked: its test patterns are refused, put into Junk, and let pass."""

from __future__ import annotations

import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.harness import processes
from tests.harness.need import need
from tests.harness.ports import free_port
from tests.mailpod.smtp.server import serving
from tests.mailpod.smtp.test_senders import folder

ALICE = "alice@example.com"
PATTERN = b"JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
# No modules, no DNS; its own list of suffixes takes half a minute to compile
CONFIG = """
options {{
  filters = ""; enable_test_patterns = true; url_tld = "{home}/tld"; rrd = false; local_addrs = [];
  dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }}
  pidfile = "{home}/pid"; tempdir = "{home}"; control_socket = "{home}/control mode=0600";
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    program, port = need("rspamd"), free_port()
    with tempfile.TemporaryDirectory(prefix="mailpod-rspamd-") as folder_:
        home = Path(folder_)
        home.chmod(0o777)  # it gives up being root
        (home / "tld").write_text("com\nexample\n")
        (home / "rspamd.conf").write_text(CONFIG.format(home=home, port=port))
        command = [program, "-f", "-i", "-c", str(home / "rspamd.conf")]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            processes.wait_until(partial(answers, port), 60, "rspamd answers")
            yield f"http://127.0.0.1:{port}"
        finally:
            processes.end(process)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize(
    ("body", "reply", "inbox", "junk"),
    [
        (b"X" + PATTERN, "554 5.7.1 Gtube pattern", 0, 0),
        (b"Y" + PATTERN, "250 2.0.0 OK", 0, 1),
        (b"A letter.", "250 2.0.0 OK", 1, 0),
    ],
)
async def test_rspamd(url: str, body: bytes, reply: str, inbox: int, junk: int) -> None:
    async with serving(rspamd={"url": url, "on_failure": "defer"}) as server, server.client() as client:
        await client.hello()
        message = b"From: a@b.example\r\nSubject: x\r\n\r\n" + body + b"\r\n"
        assert (await client.message(message, ALICE)).startswith(reply)
        assert [await folder(server, ALICE, name) for name in ("INBOX", "Junk")] == [inbox, junk]
        await server.services.rspamd.close()
