"""Debian's Postfix and Dovecot on free ports in a folder of their own: the peer that each benchmark alternates with.

Postfix takes the mail (no chroot, no milter, no logging but errors) and hands it to Dovecot over LMTP; Dovecot fsyncs
what it stores, as it does by default. Needs root, since Postfix's master does.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness import manifest, processes
from tests.harness.need import find
from tests.harness.ports import free_port
from tests.harness.postfix_master import Service, client, listener, master_cf
from tests.harness.target import STANDARD, Account, Target

MAIL_LOCATION = {"maildir": "maildir:~/Maildir", "mdbox": "mdbox:~/mdbox"}

NAMESPACE = (
    """
namespace inbox {
  inbox = yes
  separator = /
"""
    + "".join(
        f"  mailbox {name} {{\n    auto = create\n    special_use = \\{name}\n  }}\n"
        for name in ("Sent", "Drafts", "Trash", "Junk", "Archive")
    )
    + "}\n"
)
"""The folders that a Mailpod account has from the start, with the same delimiter."""


def usable() -> str:
    """Empty where the peers can run here, else what is in the way."""
    if os.geteuid() != 0:
        return "Postfix's master needs root"
    missing = [name for name in ("postfix", "dovecot", "openssl") if find(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Peers:
    """Both servers, running between `with` and its end; `start` and `stop` may also be called alone."""

    name = "Postfix+Dovecot"

    def __init__(self, accounts: Sequence[Account], store: str = "maildir") -> None:
        self.accounts = list(accounts)
        self.home = Path(tempfile.mkdtemp(prefix="mailpod-peers-"))
        self.home.chmod(0o755)
        self.store = store
        self.ports = {name: free_port() for name in STANDARD}
        self.running: list[subprocess.Popen[bytes]] = []

    def target(self) -> Target:
        return Target("127.0.0.1", manifest.HOSTNAME, self.ports, self.home / "tls.crt", accounts=self.accounts)

    def start(self) -> None:
        self._certificate()
        self._dovecot_files()
        self._postfix_files()
        self.start_dovecot()
        self._run("postfix", "-c", str(self.home / "postfix"), "start-fg")
        for port in self.ports.values():
            processes.wait_until(partial(answers, port), 20, f"the peers listen on {port}")

    def start_dovecot(self) -> None:
        self._run("dovecot", "-F", "-c", str(self.home / "dovecot.conf"))
        processes.wait_until(lambda: answers(self.ports["imap"]), 20, "Dovecot listens")

    def restart_dovecot(self) -> None:
        """A new Dovecot over the same mail: what its processes had in memory is gone."""
        processes.end(self.running.pop(0))
        self.start_dovecot()
        self.running.insert(0, self.running.pop())

    def cpu_seconds(self) -> float:
        return sum(processes.cpu_seconds(process.pid) for process in self.running)

    def memory_bytes(self) -> int:
        return sum(processes.pss_bytes(process.pid) for process in self.running)

    def stop(self) -> None:
        for process in self.running:
            processes.end(process)
        self.running.clear()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, *command: str) -> None:
        program = find(command[0])
        assert program is not None
        with (self.home / f"{command[0]}.log").open("ab") as log:
            self.running.append(
                subprocess.Popen([program, *command[1:]], stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            )

    def _certificate(self) -> None:
        subject = [
            "-subj",
            f"/CN={manifest.HOSTNAME}",
            "-addext",
            f"subjectAltName=DNS:{manifest.HOSTNAME},DNS:localhost,IP:127.0.0.1",
        ]
        subject += ["-addext", "basicConstraints=critical,CA:FALSE"]
        files = ["-keyout", str(self.home / "tls.key"), "-out", str(self.home / "tls.crt")]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "9", *subject, *files]
        subprocess.run(command, check=True, capture_output=True)

    def _dovecot_files(self) -> None:
        mail = self.home / "mail"
        mail.mkdir()
        shutil.chown(mail, "mail", "mail")
        users = [f"{a.address}:{{PLAIN}}{a.password}:8:8::{mail}/{a.local}::" for a in self.accounts]
        (self.home / "users").write_text("\n".join(users) + "\n")
        (self.home / "users").chmod(0o644)
        (self.home / "dovecot.conf").write_text(dovecot_conf(self.home, self.ports, MAIL_LOCATION[self.store]))

    def _postfix_files(self) -> None:
        config = self.home / "postfix"
        for folder in (config, self.home / "queue", self.home / "postfix-data"):
            folder.mkdir()
        shutil.chown(self.home / "postfix-data", "postfix")
        users = {account.address: "ok" for account in self.accounts}
        (config / "users").write_text("".join(f"{address} {value}\n" for address, value in users.items()))
        (config / "main.cf").write_text(main_cf(self.home, manifest.DOMAIN))
        (config / "master.cf").write_text(master_cf(*services(self.ports)))


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def dovecot_conf(home: Path, ports: dict[str, int], location: str) -> str:
    listeners = "\n".join(
        f"service {kind}-login {{\n  inet_listener {kind} {{\n    port = {ports[kind]}\n  }}\n"
        f"  inet_listener {kind}s {{\n    port = {ports[kind + 's']}\n    ssl = yes\n  }}\n}}"
        for kind in ("imap", "pop3")
    )
    return (
        textwrap.dedent(
            f"""\
            base_dir = {home}/run
            log_path = {home}/dovecot-mail.log
            listen = 127.0.0.1
            protocols = imap pop3 lmtp
            mail_location = {location}
            first_valid_uid = 8
            mail_max_userip_connections = 5000
            default_client_limit = 6000
            default_process_limit = 3000
            ssl = yes
            ssl_cert = <{home}/tls.crt
            ssl_key = <{home}/tls.key
            disable_plaintext_auth = no
            auth_mechanisms = plain login
            passdb {{
              driver = passwd-file
              args = {home}/users
            }}
            userdb {{
              driver = passwd-file
              args = {home}/users
            }}
            service lmtp {{
              unix_listener {home}/run/dovecot-lmtp {{
                mode = 0666
              }}
            }}
            service auth {{
              unix_listener {home}/run/dovecot-auth {{
                mode = 0666
              }}
            }}
            protocol lmtp {{
              postmaster_address = postmaster@{manifest.DOMAIN}
            }}
            """
        )
        + listeners
        + NAMESPACE
    )


def main_cf(home: Path, domain: str) -> str:
    return textwrap.dedent(
        f"""\
        compatibility_level = 3.6
        queue_directory = {home}/queue
        data_directory = {home}/postfix-data
        command_directory = /usr/sbin
        daemon_directory = /usr/lib/postfix/sbin
        maillog_file = {home}/postfix-mail.log
        maillog_file_prefixes = {home}
        mail_owner = postfix
        setgid_group = postdrop
        myhostname = {manifest.HOSTNAME}
        mydestination =
        mynetworks = 192.0.2.1/32
        inet_interfaces = 127.0.0.1
        inet_protocols = ipv4
        virtual_mailbox_domains = {domain}
        virtual_mailbox_maps = texthash:{home}/postfix/users
        virtual_transport = lmtp:unix:{home}/run/dovecot-lmtp
        alias_maps =
        local_recipient_maps =
        smtpd_client_connection_count_limit = 0
        message_size_limit = 104857600
        virtual_mailbox_limit = 0
        smtpd_tls_cert_file = {home}/tls.crt
        smtpd_tls_key_file = {home}/tls.key
        smtpd_tls_security_level = may
        smtpd_sasl_type = dovecot
        smtpd_sasl_path = {home}/run/dovecot-auth
        smtpd_sasl_auth_enable = yes
        smtputf8_enable = no
        """
    )


def services(ports: dict[str, int]) -> list[Service]:
    return [
        listener(str(ports["smtp"])),
        listener(str(ports["submission"])),
        listener(str(ports["submissions"]), "smtpd -o smtpd_tls_wrappermode=yes"),
        client("smtp"),
        client("lmtp"),
    ]
