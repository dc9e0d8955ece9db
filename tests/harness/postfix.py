"""Another domain's mail server: Debian's Postfix on port 25 of a loopback address, with the world's DNS and no other.

Its daemons run in the queue's folder as root directory, whose etc/resolv.conf names the world's resolver. Mail for its
domain lies in a Maildir a recipient. Needs root, as Postfix's master and port 25 do.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness import processes
from tests.harness.need import missing, need
from tests.harness.pki import Pair
from tests.harness.postfix_master import VIRTUAL, client, listener, master_cf

_UID = 8  # Debian's `mail`


class Postfix:
    """`domain` is its own, and so are those in `also`; `hostname` is its name. `settings` go before ours in main.cf."""

    def __init__(
        self,
        address: str,
        *,
        domain: str,
        hostname: str,
        users: Sequence[str],
        also: Sequence[str] = (),
        certificate: Pair | None,
        resolver: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        if os.geteuid() != 0:
            missing("root, which Postfix's master needs,")
        self.home = Path(tempfile.mkdtemp(prefix="mailpod-postfix-"))  # not below pytest's, which are root's alone
        self.home.chmod(0o755)
        self.address, self.domain, self.hostname = address, domain, hostname
        self.program = need("postfix")
        self.users, self.domains = list(users), [domain, *also]
        self._certificate, self._resolver, self._more = certificate, resolver, dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        path = self.home / "mail.log"
        return path.read_text() if path.exists() else ""

    def start(self) -> None:
        self._write()
        with (self.home / "start.log").open("ab") as log:
            command = [self.program, "-c", str(self.home / "etc"), "start-fg"]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        processes.wait_until(self._answers, 20, f"Postfix listens on {self.address}")

    def stop(self) -> None:
        if self._process is not None:
            processes.end(self._process)
            self._process = None
        shutil.rmtree(self.home, ignore_errors=True)

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> None:
        """Into its queue, as its own users' mail."""
        command = [need("sendmail"), "-C", str(self.home / "etc"), "-i", "-f", sender, *recipients]
        subprocess.run(command, input=message.replace(b"\r\n", b"\n"), check=True, capture_output=True)

    def flush(self) -> None:
        """Try again what waits."""
        subprocess.run([need("postqueue"), "-c", str(self.home / "etc"), "-f"], check=True, capture_output=True)

    def arrived(self, user: str) -> list[bytes]:
        """What lies in a user's Maildir, oldest first."""
        folder = self.home / "mail" / user / "new"
        files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns) if folder.exists() else []
        return [path.read_bytes() for path in files]

    def wait_arrived(self, user: str, count: int = 1, seconds: float = 30) -> list[bytes]:
        processes.wait_until(lambda: len(self.arrived(user)) >= count, seconds, f"{count} messages for {user}")
        return self.arrived(user)

    def wait_log(self, text: str, seconds: float = 20) -> None:
        processes.wait_until(lambda: text in self.log, seconds, f"Postfix's log says {text!r}")

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, f"Postfix ended:\n{self.log}"
        try:
            with socket.create_connection((self.address, 25), 1):
                return True
        except OSError:
            return False

    def _write(self) -> None:
        config, queue, data, mail = (self.home / name for name in ("etc", "queue", "data", "mail"))
        for folder in (config, queue, data, mail, queue / "etc"):
            folder.mkdir(exist_ok=True)
        shutil.chown(data, "postfix")
        os.chown(mail, _UID, _UID)
        (queue / "etc/resolv.conf").write_text(f"nameserver {self._resolver.partition(':')[0]}\noptions trust-ad\n")
        (queue / "etc/services").write_text("smtp 25/tcp\n")
        addresses = (f"{user}@{domain} {user}/\n" for domain in self.domains for user in self.users)
        (config / "users").write_text("".join(addresses))
        settings = {**self._settings(mail), **self._more}
        (config / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        services = (listener(f"{self.address}:25"), client("smtp", chroot=True), VIRTUAL)
        (config / "master.cf").write_text(master_cf(*services))

    def _settings(self, mail: Path) -> dict[str, str]:
        text = textwrap.dedent(
            f"""\
            compatibility_level = 3.6
            queue_directory = {self.home}/queue
            data_directory = {self.home}/data
            command_directory = /usr/sbin
            daemon_directory = /usr/lib/postfix/sbin
            maillog_file = {self.home}/mail.log
            maillog_file_prefixes = {self.home}
            mail_owner = postfix
            setgid_group = postdrop
            myhostname = {self.hostname}
            mydomain = {self.domain}
            myorigin = {self.domain}
            mydestination =
            mynetworks = {self.address}/32
            inet_interfaces = 127.0.0.1
            inet_protocols = ipv4
            smtp_bind_address = {self.address}
            virtual_mailbox_domains = {" ".join(self.domains)}
            virtual_mailbox_base = {mail}
            virtual_mailbox_maps = texthash:{self.home}/etc/users
            virtual_uid_maps = static:{_UID}
            virtual_gid_maps = static:{_UID}
            virtual_minimum_uid = {_UID}
            alias_maps =
            local_recipient_maps =
            smtp_host_lookup = dns
            smtp_tls_security_level = may
            smtp_tls_loglevel = 1
            minimal_backoff_time = 1s
            maximal_backoff_time = 1s
            queue_run_delay = 1s
            """
        )
        found = dict(line.split(" =", 1) for line in text.splitlines())
        if self._certificate is not None:
            certificate, key = self._certificate.write(self.home)
            found |= {
                "smtpd_tls_cert_file": str(certificate),
                "smtpd_tls_key_file": str(key),
                "smtpd_tls_security_level": "may",
                "smtpd_tls_loglevel": "1",
            }
        return {name: value.strip() for name, value in found.items()}
