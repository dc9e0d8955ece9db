"""Running the mail programs of others, and the letters that they carry."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.harness.imap import Imap
from tests.harness.processes import wait_until
from tests.harness.target import Account, Target


def run(
    command: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    home: Path | None = None,
    timeout: float = 60,
    allowed: Sequence[int] = (0,),
) -> subprocess.CompletedProcess[bytes]:
    """Run a client; an exit code that is not allowed fails the test with all that the client said."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin",
        "LC_ALL": "C.UTF-8",
        "HOME": str(home or "/nonexistent"),
    }
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=timeout,
        env=environment,
        check=False,
    )
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode in allowed, f"{command[0]} ended with {done.returncode}:\n{said[-4000:]}"
    return done


def private(path: Path, text: str) -> Path:
    """A configuration file that only its owner may read: msmtp, mpop and fetchmail refuse any other."""
    path.write_text(text)
    path.chmod(0o600)
    return path


def letter(subject: str = "", body: str = "A line.\r\n", sender: str = "alice@elsewhere.test") -> tuple[str, bytes]:
    """A small message and the word that tells it from all others."""
    word = f"word{secrets.token_hex(8)}"
    head = f"From: {sender}\r\nTo: someone@example.test\r\nSubject: {subject or word}\r\nX-Word: {word}\r\n"
    return (
        word,
        f"{head}Message-ID: <{word}@elsewhere.test>\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n{body}".encode(),
    )


def body_of(message: bytes) -> bytes:
    """What follows the header, as sent: servers add header lines in front, and nothing behind."""
    return message.partition(b"\r\n\r\n")[2]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored(target: Target, account: Account, mailbox: str = "INBOX") -> list[bytes]:
    """Every message of a mailbox, in the order of UIDs."""
    with Imap(target, account) as imap:
        imap.ok(f'EXAMINE "{mailbox}"')
        bodies = imap.bodies()
        return [bodies[uid] for uid in sorted(bodies)]


def wait_arrived(target: Target, account: Account, count: int, seconds: float = 20) -> list[bytes]:
    """The messages of INBOX once there are `count`: at once with Mailpod, after its queue with Postfix."""
    with Imap(target, account) as imap:
        wait_until(lambda: imap.exists() >= count, seconds, f"{count} messages in {account.address}")
    found = stored(target, account)
    assert len(found) == count
    return found


def fill(target: Target, account: Account, count: int, mailbox: str = "INBOX", flags: str = "") -> list[str]:
    """Append `count` letters; their words in order."""
    words = []
    with Imap(target, account) as imap:
        for _ in range(count):
            word, message = letter()
            assert imap.append(mailbox, message, flags).ok
            words.append(word)
    return words
