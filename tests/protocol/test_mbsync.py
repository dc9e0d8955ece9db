"""mbsync keeps a Maildir and the mailbox alike in both directions: new mail, flags, moves and deletions."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness.clients import digest, fill, letter, private, run, stored
from tests.harness.imap import Imap
from tests.harness.need import need
from tests.harness.target import Account, Target

ROUTES = [
    pytest.param("imap", "None", id="plain"),
    pytest.param("imap", "STARTTLS", id="starttls"),
    pytest.param("imaps", "IMAPS", id="tls"),
]
pytestmark = pytest.mark.parametrize(("service", "ssl"), ROUTES)

CONFIG = """\
IMAPAccount mailpod
Host localhost
Port {port}
User {user}
Pass {password}
AuthMechs LOGIN
SSLType {ssl}
CertificateFile {ca}

IMAPStore far
Account mailpod

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX Archive Trash
Create Both
Expunge Both
Sync All
SyncState *
"""


class Synced:
    """A Maildir that mbsync keeps in step with one account."""

    def __init__(self, target: Target, account: Account, home: Path, service: str, ssl: str) -> None:
        self.mail = home / "mail"
        self.mail.mkdir()
        text = CONFIG.format(
            port=target.port(service),
            user=account.address,
            password=account.password,
            ssl=ssl,
            ca=target.ca,
            mail=self.mail,
        )
        self.config = private(home / "mbsyncrc", text)

    def sync(self) -> None:
        run([need("mbsync"), "-c", self.config, "-q", "all"], home=self.mail)

    def files(self, folder: str = "INBOX") -> list[Path]:
        return sorted(file for part in ("new", "cur") for file in (self.mail / folder / part).iterdir())

    def find(self, word: str, folder: str = "INBOX") -> Path:
        (file,) = (file for file in self.files(folder) if word.encode() in file.read_bytes())
        return file

    def flag(self, word: str, flags: str) -> None:
        """Set a message's flags as a Maildir reader does: by its file name."""
        file = self.find(word)
        file.rename(self.mail / "INBOX" / "cur" / f"{file.name.partition(':')[0]}:2,{flags}")


@pytest.fixture
def synced(target: Target, account: Account, tmp_path: Path, service: str, ssl: str) -> Synced:
    with Imap(target, account) as imap:
        for folder in ("Archive", "Trash"):
            imap.command(f"CREATE {folder}")  # Mailpod has them from the start
    return Synced(target, account, tmp_path, service, ssl)


def test_mbsync_brings_mail_down_as_it_was(target: Target, account: Account, synced: Synced) -> None:
    fill(target, account, 25)
    synced.sync()
    near = sorted(digest(without_tuid(file.read_bytes())) for file in synced.files())
    assert near == sorted(digest(message.replace(b"\r\n", b"\n")) for message in stored(target, account))


def test_mbsync_takes_new_mail_up(target: Target, account: Account, synced: Synced) -> None:
    synced.sync()
    word, message = letter()
    (synced.mail / "INBOX" / "cur" / "1700000000.1_1.here:2,S").write_bytes(message.replace(b"\r\n", b"\n"))
    synced.sync()
    (far,) = stored(target, account)
    assert word.encode() in far
    with Imap(target, account) as imap:
        imap.ok("EXAMINE INBOX")
        (flags,) = imap.flags().values()
        assert b"\\Seen" in flags


def test_mbsync_flags_both_ways(target: Target, account: Account, synced: Synced) -> None:
    here, there, untouched = fill(target, account, 3)
    synced.sync()
    synced.flag(here, "FS")
    with Imap(target, account) as imap:
        imap.ok("SELECT INBOX")
        imap.ok("STORE 2 +FLAGS.SILENT (\\Answered \\Seen)")
        synced.sync()
        imap.ok("NOOP")
        flags = imap.flags()
        assert {b"\\Flagged", b"\\Seen"} <= flags[imap.uids()[0]]
    assert synced.find(there).name.endswith(":2,RS")
    assert synced.find(untouched).name.rpartition(",")[2] == "" or "new" in str(synced.find(untouched))


def test_mbsync_deletions_both_ways(target: Target, account: Account, synced: Synced) -> None:
    here, there, kept = fill(target, account, 3)
    synced.sync()
    synced.find(here).unlink()
    with Imap(target, account) as imap:
        imap.ok("SELECT INBOX")
        imap.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        imap.ok("EXPUNGE")
    synced.sync()
    (far,) = stored(target, account)
    assert kept.encode() in far
    assert [file for file in synced.files() if there.encode() in file.read_bytes()] == []
    assert len(synced.files()) == 1


def test_mbsync_moves_both_ways(target: Target, account: Account, synced: Synced) -> None:
    here, there = fill(target, account, 2)
    synced.sync()
    file = synced.find(here)
    file.rename(synced.mail / "Archive" / "cur" / "1700000001.2_1.here:2,S")
    with Imap(target, account) as imap:
        imap.ok("SELECT INBOX")
        imap.ok("MOVE 2 Trash")
    synced.sync()
    assert stored(target, account) == []
    (archived,) = stored(target, account, "Archive")
    assert here.encode() in archived
    assert synced.find(there, "Trash")
    assert synced.files() == []


def test_mbsync_has_nothing_to_do_when_all_is_alike(target: Target, account: Account, synced: Synced) -> None:
    fill(target, account, 10)
    synced.sync()
    before = [(file.name, file.stat().st_mtime_ns) for file in synced.files()]
    synced.sync()
    assert [(file.name, file.stat().st_mtime_ns) for file in synced.files()] == before


def without_tuid(message: bytes) -> bytes:
    """mbsync 1.4 marks what it brings down with a header line of its own while it is on its way."""
    return b"\n".join(line for line in message.split(b"\n") if not line.startswith(b"X-TUID: "))
