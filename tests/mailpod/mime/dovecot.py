"""Dovecot's own IMAP process on a Maildir of given messages: no daemon, no port, it speaks on its standard streams."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.mailpod.mime.grammar import read_at

IMAP = Path("/usr/lib/dovecot/imap")
_CONFIG = """
base_dir = {home}/run
log_path = {home}/log
ssl = no
mail_location = maildir:{home}/mail
mail_uid = {user}
mail_gid = {user}
first_valid_uid = 1
"""


def fetch(home: Path, messages: Sequence[bytes], items: str) -> list[dict[bytes, Any]]:
    """FETCH 1:* of these messages: for each the answered items by name."""
    return _answers(ask(home, messages, [f"FETCH 1:* ({items})"]), len(messages))


def ask(home: Path, messages: Sequence[bytes], commands: Sequence[str]) -> bytes:
    """All that is answered, once, to commands on a mailbox of these messages; each must succeed."""
    for folder in ("cur", "new", "tmp"):
        (home / "mail" / folder).mkdir(parents=True)
    for number, message in enumerate(messages):
        # Maildir names are sorted by their leading number, which gives the order
        path = home / "mail" / "cur" / f"{1_000_000 + number}.x.h:2,S"
        path.write_bytes(message)
        os.utime(path, (number, number))  # INTERNALDATE
    user = "dovecot" if os.geteuid() == 0 else str(os.geteuid())
    (home / "conf").write_text(_CONFIG.format(home=home, user=user))
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            shutil.chown(path, "dovecot", "dovecot")
    lines = ["SELECT INBOX", *commands, "LOGOUT"]
    asked = b"".join(f"{tag} {command}\r\n".encode() for tag, command in enumerate(lines))
    answered, log = _converse(home, asked)
    for tag in range(len(lines)):
        assert re.search(rb"(?:^|\n)%d OK" % tag, answered), (lines[tag], log[-400:], answered[-400:])
    return answered


def _converse(home: Path, asked: bytes) -> tuple[bytes, bytes]:
    """Answers, up to LOGOUT's, and the log. Its input stays open: at its end Dovecot drops what is unsent."""
    process = subprocess.Popen(
        [str(IMAP), "-c", str(home / "conf")],
        env={"MAIL": f"maildir:{home}/mail", "USER": "x", "HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    hung = threading.Timer(60, process.kill)
    hung.start()
    with process:
        process.stdin.write(asked)
        process.stdin.flush()
        answered, log = process.stdout.read(), process.stderr.read()
    hung.cancel()
    return answered, log


def _answers(output: bytes, count: int) -> list[dict[bytes, Any]]:
    start = re.compile(rb"\* (\d+) FETCH ")
    found: list[dict[bytes, Any]] = [{} for _ in range(count)]
    at = 0
    while answer := start.search(output, at):
        values, at = read_at(output, answer.end())
        found[int(answer[1]) - 1] = dict(zip(values[::2], values[1::2], strict=True))
    return found
