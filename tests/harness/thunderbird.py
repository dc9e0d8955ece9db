"""Thunderbird on a screen that nobody sees, with a profile of its own, driven by its remote control.

It meets no server but the test's own: its only way out is the test's proxy, and a mail server's name is this machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness import processes
from tests.harness.marionette import Marionette
from tests.harness.need import need
from tests.harness.ports import free_port

SCREEN = "1024x680x24"
SCRIPT_SECONDS = 40.0
PREFERENCES: dict[str, object] = {
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "intl.locale.requested": "en-US",
    "mail.accounthub.addressbook.enabled": False,
    "mail.biff.show_alert": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.override": True,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mail.ui.show.migration.on.upgrade": False,
    "mail.winsearch.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,none",
    "toolkit.telemetry.enabled": False,
    "ui.prefersReducedMotion": 1,
}


class Thunderbird:
    """`with` it: the program runs, and `ui` drives its main window."""

    def __init__(self, home: Path, *, authority: Path, proxy: int, local_names: list[str]) -> None:
        self._program, self._screen_program, certutil = need("thunderbird"), need("Xvfb"), need("certutil")
        self.home, self.profile = home, home / "profile"
        self.log = home / "thunderbird.log"
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.profile.mkdir(parents=True)
        self._write_preferences(proxy, local_names)
        store = f"sql:{self.profile}"
        _checked([certutil, "-N", "-d", store, "--empty-password"])
        _checked([certutil, "-A", "-d", store, "-n", "test", "-t", "C,,", "-i", str(authority)])

    ui: Marionette

    def __enter__(self) -> Self:
        try:
            display = self._screen()
            self._start(display)
            self.ui = self._connected()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        for process in reversed(self._processes):
            processes.end(process)
        self._processes.clear()

    def dialogue(self) -> list[str]:
        """What it said to IMAP servers and heard of them, in its own log; passwords are not in it."""
        return re.findall(r"(?:SendData|CreateNewLineFromSocket|PARSER:Internal Syntax Error on line).*", self._said())

    def _said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def _write_preferences(self, proxy: int, local_names: list[str]) -> None:
        chosen = PREFERENCES | {
            "marionette.port": self._port,
            "network.dns.localDomains": ",".join(local_names),
            "network.proxy.type": 1,
            "network.proxy.ssl": "127.0.0.1",
            "network.proxy.ssl_port": proxy,
            "network.proxy.http": "127.0.0.1",
            "network.proxy.http_port": proxy,
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items()]
        (self.profile / "user.js").write_text("".join(lines))

    def _screen(self) -> str:
        """Its X display: the server chooses a free number and says which."""
        reading, writing = os.pipe()
        command = [self._screen_program, "-displayfd", str(writing), "-screen", "0", SCREEN, "-nolisten", "tcp"]
        with self.log.open("ab") as log:
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[writing]))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            return f":{int(pipe.readline())}"

    def _start(self, display: str) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "DISPLAY": display,
            "LC_ALL": "C.UTF-8",
            "MOZ_CRASHREPORTER_DISABLE": "1",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "MOZ_LOG": "IMAP:4",
        }
        command = [self._program, "--marionette", "--remote-allow-system-access"]
        command += ["--no-remote", "--profile", str(self.profile)]
        with self.log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
            )

    def _connected(self) -> Marionette:
        made: list[Marionette] = []

        def connect() -> bool:
            code = self._processes[-1].poll()
            assert code is None, f"thunderbird ended with {code}:\n{self._said()[-3000:]}"
            try:
                made.append(Marionette(self._port, script_seconds=SCRIPT_SECONDS))
            except OSError:
                return False
            return True

        processes.wait_until(connect, 60, "thunderbird listens")
        return made[0]


def _checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
