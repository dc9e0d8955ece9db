"""mutt in a terminal: somebody opens a mailbox, reads, flags, and deletes by keys, and the server has it all."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest
from tests.harness.clients import letter, private
from tests.harness.imap import Imap
from tests.harness.need import need
from tests.harness.target import Account, Target

PATIENCE = 20.0
CONFIG = """\
set folder = "imaps://{host}:{port}/" spoolfile = "imaps://{host}:{port}/INBOX"
set imap_user = "{user}" imap_pass = "{password}" imap_authenticators = "login"
set certificate_file = "{ca}" ssl_starttls = yes ssl_force_tls = yes
set header_cache = "" quit = yes delete = yes mark_old = no wait_key = no confirmappend = no beep = no
set pager_stop = yes sort = mailbox-order imap_idle = yes timeout = 1 mail_check = 1
set index_format = "%C %Z %s"
"""


class Terminal:
    """A program that believes somebody sits before it."""

    def __init__(self, command: list[str | Path], home: Path) -> None:
        self._master, slave = pty.openpty()
        environment = os.environ | {"TERM": "vt100", "LINES": "30", "COLUMNS": "100", "HOME": str(home), "LANG": "C"}
        self._program = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self._shown = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._master)

    def sees(self, text: str) -> None:
        """Wait until the program writes `text`; what it wrote until then is read."""
        end = time.monotonic() + PATIENCE
        while text.encode() not in self._shown:
            assert select.select([self._master], [], [], end - time.monotonic())[0], f"{text!r} not in {self._shown!r}"
            self._shown += os.read(self._master, 65_536)
        self._shown = self._shown.partition(text.encode())[2]

    def types(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def ends(self) -> int:
        """What the program ends with; a terminal must be read meanwhile."""
        end = time.monotonic() + PATIENCE
        with suppress(OSError):  # EIO: the other side is closed
            while select.select([self._master], [], [], end - time.monotonic())[0] and os.read(self._master, 65_536):
                pass
        return self._program.wait(PATIENCE)


@pytest.fixture
def mutt(target: Target, account: Account, tmp_path: Path) -> Iterator[Terminal]:
    with Imap(target, account) as imap:
        for name in ("first", "second", "third"):
            _, message = letter(f"Subject-{name}", f"Text of the {name}.\r\n")
            assert imap.append("INBOX", message).ok
    text = CONFIG.format(
        host="localhost", port=target.port("imaps"), user=account.address, password=account.password, ca=target.ca
    )
    with Terminal([need("mutt"), "-n", "-F", private(tmp_path / "muttrc", text)], tmp_path) as terminal:
        yield terminal


@pytest.mark.slow
def test_a_session_of_mutt(target: Target, account: Account, mutt: Terminal) -> None:
    mutt.sees("Subject-third")
    mutt.types("1\n\n")
    mutt.sees("Text of the first.")
    mutt.types("i2\nF")  # back to the index: a flag on the second
    mutt.types("3\nd$")  # the third is deleted, and gone once mutt has written the mailbox
    mutt.sees("2 kept, 1 deleted")
    with Imap(target, account) as imap:
        imap.ok("SELECT INBOX")
        first, second = imap.flags().values()
        assert (b"\\Seen" in first, b"\\Flagged" in first) == (True, False)
        assert (b"\\Seen" in second, b"\\Flagged" in second) == (False, True)
        _, message = letter("Subject-fourth")
        assert imap.append("INBOX", message).ok
        mutt.sees("Subject-fourth")  # by IDLE
    mutt.types("q")
    assert mutt.ends() == 0
