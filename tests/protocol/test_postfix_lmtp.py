"""Debian's Postfix hands over by LMTP, and reports of each recipient what Mailpod said of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from benchmarks.peers import answers, main_cf, services
from tests.harness import manifest, processes
from tests.harness.clients import letter, wait_arrived
from tests.harness.need import need
from tests.harness.ports import free_port
from tests.harness.postfix_master import master_cf
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.harness.target import Account, Target

FINE = Account(f"fine@{manifest.DOMAIN}", "fine-password")
FULL = Account(f"full@{manifest.DOMAIN}", "full-password")


class Postfix:
    """A relay on one port, which queues a message and hands it over once."""

    def __init__(self, home: Path, lmtp: int) -> None:
        self.home, self.port = home, free_port()
        home.chmod(0o755)
        config = home / "postfix"
        for folder in (config, home / "queue", home / "postfix-data"):
            folder.mkdir()
        shutil.chown(home / "postfix-data", "postfix")
        (config / "users").write_text("")
        settings = "\n".join(
            line
            for line in main_cf(home, manifest.DOMAIN).splitlines()
            if not line.startswith(("smtpd_tls", "smtpd_sasl", "virtual_transport", "virtual_mailbox_maps"))
        )
        settings += f"\nvirtual_transport = lmtp:inet:127.0.0.1:{lmtp}\nvirtual_mailbox_maps = static:ok\n"
        settings += "lmtp_tls_security_level = may\n"
        (config / "main.cf").write_text(settings)
        ports = {"smtp": self.port, "submission": free_port(), "submissions": free_port()}
        (config / "master.cf").write_text(master_cf(*services(ports)))

    def start(self) -> None:
        command = [need("postfix"), "-c", str(self.home / "postfix"), "start-fg"]
        log = (self.home / "out.log").open("wb")
        self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        processes.wait_until(partial(answers, self.port), 30, "Postfix listens")

    def stop(self) -> None:
        processes.end(self.process)

    def said(self) -> dict[str, str]:
        """What became of each recipient, with Mailpod's reply, as Postfix logged it."""
        log = self.home / "postfix-mail.log"
        text = log.read_text() if log.exists() else ""
        found = re.findall(r"/lmtp\[.*? to=<([^>]+)>,.* status=(\w+ \(.*)", text)
        return dict(found)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[Postfix, Target]]:
    need("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix's master needs root")
    server = Mailpod(tmp_path, [FINE, FULL], mailboxDefaults={"quota": {"storage": "3Ki"}})
    home = Path(tempfile.mkdtemp(prefix="mailpod-lmtp-"))
    postfix = Postfix(home, server.offset + 24)
    try:
        server.start()
        postfix.start()
        yield postfix, server.target()
    finally:
        if hasattr(postfix, "process"):
            postfix.stop()
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_one_is_fine_one_is_full_one_is_unknown(relay: tuple[Postfix, Target]) -> None:
    postfix, target = relay
    with Smtp(target) as smtp:  # most of its quota
        assert (
            smtp.deliver(
                "a@elsewhere.test", [FULL.address], letter(body="x" * 900 + "\r\n" + "x" * 900 + "\r\n")[1]
            ).code
            == 250
        )
    recipients = [FINE.address, FULL.address, f"nobody@{manifest.DOMAIN}"]
    _, message = letter(body="y" * 900 + "\r\n")
    with Smtp(Target("127.0.0.1", manifest.HOSTNAME, {"smtp": postfix.port})) as smtp:
        assert smtp.deliver("a@elsewhere.test", recipients, message).code == 250
    processes.wait_until(lambda: len(postfix.said()) == 3, 30, "Postfix handed over")
    said = postfix.said()
    assert said[FINE.address].startswith("sent (250 2.1.5 OK, delivered as ")
    assert said[FULL.address].startswith("bounced (") and "552 5.2.2 Mailbox is full" in said[FULL.address]
    assert "550 5.1.1 No such user here" in said[recipients[2]] and said[recipients[2]].startswith("bounced (")
    (stored,) = wait_arrived(target, FINE, 1)
    assert b" with LMTPS (TLSv1.3 " in stored
