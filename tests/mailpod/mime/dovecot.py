"""Dovecot's own IMAP process on a Maildir of given messages: no daemon, no port, it speaks on its standard streams."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from tests.mailpod.mime.grammar import read_at

IMAP = Path("/usr/lib/dovecot/imap")
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_TAGGED = re.compile(rb"(?:\d+|a) ((?:OK|NO|BAD)\b.*)", re.DOTALL)
_FETCH = re.compile(rb"\* (\d+) FETCH ")
_CONFIG = """
base_dir = {home}/run
log_path = {home}/log
ssl = no
mail_location = maildir:{home}/mail
mail_uid = {user}
mail_gid = {user}
first_valid_uid = 1
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came between the tagged lines of two commands, and the second of these: "OK …", "NO …", "BAD …" or "BYE".

    Dovecot begins a command before it has ended the one before: whose an untagged response is, it must say itself.
    """

    untagged: list[bytes]
    tagged: bytes


def fetch(home: Path, messages: Sequence[bytes], items: str) -> list[dict[bytes, Any]]:
    """FETCH 1:* of these messages: for each the answered items by name."""
    return fetched(answers(home, messages, [f"FETCH 1:* ({items})"]), len(messages))


def fetched(found: Sequence[Answer], count: int) -> list[dict[bytes, Any]]:
    """The items of all FETCH responses by message and name."""
    items: list[dict[bytes, Any]] = [{} for _ in range(count)]
    for answer in found:
        for response in answer.untagged:
            # Dovecot breaks off in a response whose part it cannot decode
            if (begin := _FETCH.match(response)) and response.endswith(b")"):
                values, end = read_at(response, begin.end())
                assert end == len(response), response[end:]
                items[int(begin[1]) - 1] |= zip(values[::2], values[1::2], strict=True)
    return items


def ask(home: Path, messages: Sequence[bytes], commands: Sequence[str]) -> bytes:
    """All that is answered, once, to commands on a mailbox of these messages; each must succeed."""
    found = answers(home, messages, commands)
    for command, answer in zip(commands, found, strict=True):
        assert answer.tagged.startswith(b"OK"), (command, answer)
    return b"".join(response + b"\r\n" for answer in found for response in answer.untagged)


def answers(home: Path, messages: Sequence[bytes], commands: Sequence[str]) -> list[Answer]:
    """The answers to commands on a mailbox of these messages."""
    lay_out(home, messages)
    return _answers(home, commands)


def lay_out(home: Path, messages: Sequence[bytes]) -> None:
    """A Maildir of these messages, and Dovecot's settings."""
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


async def session(home: Path) -> asyncio.subprocess.Process:
    """A client's connection to an account without mail, once `lay_out` has made a home for it: its standard streams. It
    has logged in, and ends with its input.

    sdbox, since what several sessions see of a Maildir depends on the clock, and no cache, which loses fields of the
    header when messages are expunged. Between pipes: Dovecot wants no sockets, which are what asyncio gives.
    """
    piped, options = 'cat | "$@" | cat', (f"mail_location=sdbox:{home}/mail", "mail_cache_min_mail_count=1000")
    return await asyncio.create_subprocess_exec(
        *("sh", "-c", piped, "sh", *command(home), *(word for option in options for word in ("-o", option))),
        env=environment(home),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )


def command(home: Path) -> list[str]:
    return [str(IMAP), "-c", str(home / "conf")]


def environment(home: Path) -> dict[str, str]:
    return {"MAIL": f"maildir:{home}/mail", "USER": "x", "HOME": str(home), "PATH": os.defpath}


def _answers(home: Path, commands: Sequence[str]) -> list[Answer]:
    """Dovecot leaves at some messages, and takes the answers before along: then half the commands at a time."""
    lines = ["SELECT INBOX", *commands, "LOGOUT"]
    asked = b"".join(f"{tag} {command}\r\n".encode() for tag, command in enumerate(lines))
    answered, log = _converse(home, asked)
    found = list(tagged(answered))
    if len(found) == len(lines):
        assert found[0].tagged.startswith(b"OK"), (found[0], log[-400:])
        return found[1:-1]
    assert b"failed: Base64 data ends prematurely" in log, (log[-400:], answered[-400:])
    if len(commands) == 1:
        return [Answer([], b"BYE")]
    half = len(commands) // 2
    return _answers(home, commands[:half]) + _answers(home, commands[half:])


def tagged(data: bytes) -> Iterator[Answer]:
    """A connection's output, answer by answer; the tags are numbers or "a"."""
    untagged: list[bytes] = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        start = at
        while literal := _LITERAL.search(data, at, end + 2):
            at = end + 2 + int(literal[1])
            end = data.find(b"\r\n", at)
            if end < 0:
                return
        response, at = data[start:end], end + 2
        if found := _TAGGED.match(response):
            yield Answer(untagged, found[1])
            untagged = []
        else:
            untagged.append(response)


def _converse(home: Path, asked: bytes) -> tuple[bytes, bytes]:
    """Answers, up to LOGOUT's, and the log. Its input stays open: at its end Dovecot drops what is unsent."""
    process = subprocess.Popen(
        command(home),
        env=environment(home),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
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
