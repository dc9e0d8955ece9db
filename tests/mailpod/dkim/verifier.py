"""Debian's Postfix with opendkim as its milter, which refuses what has no signature that holds."""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
import textwrap
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.peers import answers
from tests.harness import processes
from tests.harness.need import need
from tests.harness.ports import free_port

SERVICES = """\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
discard unix - - n - - discard
"""


class Verifier:
    """Both, running between `with` and its end. `records` are the TXT records of example.com's selectors."""

    def __init__(self, home: Path, records: Mapping[str, str]) -> None:
        self.home = home
        self.port, self.milter = free_port(), free_port()
        self.running: list[subprocess.Popen[bytes]] = []
        keys = [f"{selector}._domainkey.example.com {text}\n" for selector, text in records.items()]
        (home / "keys").write_text("".join(keys))

    def __enter__(self) -> Self:
        postfix, opendkim = need("postfix"), need("opendkim")
        self.home.chmod(0o755)
        for parent in self.home.parents[:2]:
            parent.chmod(0o755)
        self._opendkim_files()
        self._postfix_files()
        self._run(opendkim, "-f", "-x", str(self.home / "opendkim.conf"))
        processes.wait_until(partial(answers, self.milter), 20, "opendkim listens")
        self._run(postfix, "-c", str(self.home / "postfix"), "start-fg")
        processes.wait_until(partial(answers, self.port), 20, "Postfix listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.running:
            processes.end(process)

    def reply(self, message: bytes) -> str:
        """What Postfix answers to the message's final dot."""
        with smtplib.SMTP("127.0.0.1", self.port, "mail.example.com", timeout=30) as client:
            client.mail("joe@example.com")
            client.rcpt("suzie@example.net")
            code, text = client.data(message)
        return f"{code} {text.decode()}"

    def _run(self, *command: str) -> None:
        with (self.home / f"{Path(command[0]).name}.log").open("ab") as log:
            self.running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True))

    def _opendkim_files(self) -> None:
        (self.home / "opendkim.conf").write_text(
            textwrap.dedent(
                f"""\
                Mode v
                Socket inet:{self.milter}@127.0.0.1
                PidFile {self.home}/opendkim.pid
                TestPublicKeys {self.home}/keys
                On-BadSignature reject
                On-NoSignature reject
                PeerList 192.0.2.1
                InternalHosts 192.0.2.1
                Syslog no
                """
            )
        )

    def _postfix_files(self) -> None:
        config = self.home / "postfix"
        for folder in (config, self.home / "queue", self.home / "postfix-data"):
            folder.mkdir()
        shutil.chown(self.home / "postfix-data", "postfix")
        (config / "master.cf").write_text(f"{self.port} inet n - n - - smtpd\n{SERVICES}")
        (config / "main.cf").write_text(
            textwrap.dedent(
                f"""\
                compatibility_level = 3.6
                queue_directory = {self.home}/queue
                data_directory = {self.home}/postfix-data
                command_directory = /usr/sbin
                daemon_directory = /usr/lib/postfix/sbin
                maillog_file = {self.home}/postfix-mail.log
                maillog_file_prefixes = {self.home}
                mail_owner = postfix
                setgid_group = postdrop
                myhostname = {socket.gethostname().partition(".")[0] or "host"}.example.net
                mydestination =
                mynetworks = 127.0.0.1/32
                inet_interfaces = 127.0.0.1
                inet_protocols = ipv4
                relay_domains = example.net
                relay_transport = discard
                alias_maps =
                local_recipient_maps =
                smtpd_milters = inet:127.0.0.1:{self.milter}
                milter_default_action = tempfail
                """
            )
        )
