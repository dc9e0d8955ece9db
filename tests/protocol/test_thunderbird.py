"""Thunderbird: a newcomer adds an account by its address alone, reads, searches, files, deletes, writes, subscribes.

`MAILPOD_PICTURES=docs/images` keeps what the windows look like.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import manifest, processes
from tests.harness.clients import wait_arrived
from tests.harness.imap import Imap
from tests.harness.pki import authority, issue
from tests.harness.server import Mailpod
from tests.harness.target import Account
from tests.harness.thunderbird import Thunderbird
from tests.harness.tunnel import Tunnel
from tests.protocol.thunderbird_desk import Desk

pytestmark = pytest.mark.slow

WEB = [manifest.HOSTNAME, f"autoconfig.{manifest.DOMAIN}", f"autodiscover.{manifest.DOMAIN}"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mailpod]:
    """With a certificate of the test's authority, which has the names where clients look for settings."""
    people = [Account(f"{name}@{manifest.DOMAIN}", f"pass-word-{name}") for name in ("ann", "bob")]
    mailpod = Mailpod(tmp_path / "mailpod", people)
    trusted = authority()
    trusted.write(tmp_path, "authority")
    issue(trusted, *WEB, "localhost", "127.0.0.1", "::1", days=60).write(mailpod.data / ".local")
    yield mailpod.start()
    mailpod.stop()


@pytest.fixture
def thunderbird(server: Mailpod, tmp_path: Path) -> Iterator[Thunderbird]:
    led = {f"{name}:443": server.offset + 443 for name in WEB}
    with (
        Tunnel(led) as tunnel,
        Thunderbird(
            tmp_path / "thunderbird",
            authority=tmp_path / "authority.crt",
            proxy=tunnel.port,
            local_names=[manifest.HOSTNAME],
        ) as program,
    ):
        yield program


def deliver(server: Mailpod, account: Account) -> None:
    texts = {"Minutes": "We met on Monday.", "Invoice 7": "Sixty ducats, please.", "Lottery": "You have won a duck."}
    with Imap(server.target(), account) as imap:
        for subject, text in texts.items():
            head = f"From: Bob <bob@elsewhere.test>\r\nTo: {account.address}\r\nSubject: {subject}\r\n"
            head += f"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{len(text)}@elsewhere.test>\r\n"
            assert imap.append("INBOX", f"{head}\r\n{text}\r\n".encode()).ok
        imap.ok('CREATE "Projects/Bridge"')


def share(server: Mailpod, owner: Account, friend: Account) -> str:
    """A folder of `owner` with a message that `friend` may read; its name as the friend finds it."""
    with Imap(server.target(), owner) as imap:
        imap.ok("CREATE Plans")
        head = f"From: Bob <{owner.address}>\r\nSubject: Spans\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
        assert imap.append("Plans", f"{head}\r\nThree arches.\r\n".encode()).ok
        imap.ok(f"SETACL Plans {friend.address} lrs")
    return f"Other Users/{owner.address}/Plans"


def test_from_an_address_to_mail_sent_and_read(server: Mailpod, thunderbird: Thunderbird, tmp_path: Path) -> None:
    ann, bob = server.accounts
    deliver(server, ann)
    shared = share(server, bob, ann)
    desk = Desk(thunderbird, Path(os.environ.get("MAILPOD_PICTURES", tmp_path)))

    found = desk.find_settings(ann)
    desk.picture("settings")
    implicit_tls = "3"
    assert found["incoming"] == ["imap", manifest.HOSTNAME, str(server.offset + 993), implicit_tls]
    assert found["outgoing"] == ["smtp", manifest.HOSTNAME, str(server.offset + 465), implicit_tls]
    desk.log_in(ann)
    assert desk.folders() == ["Inbox", "Drafts", "Sent", "Archives", "Spam", "Trash"]

    desk.open("INBOX", messages=3)
    assert desk.read("Minutes") == "We met on Monday."
    desk.picture("read")
    assert desk.search("INBOX", "duck") == ["Lottery"]
    desk.move("Invoice 7", to="Archive")
    desk.delete("Lottery")

    desk.write(bob.address, "Bridge", "Grüße, Ann")
    desk.send()
    [arrived] = wait_arrived(server.target(), bob, 1)
    assert "Grüße, Ann".encode() in arrived and b"\r\nDKIM-Signature:" in arrived

    assert "Projects/Bridge" in desk.subscribe("Projects/Bridge")
    assert "Bridge" in desk.folders()
    assert shared in desk.subscribe(shared)
    desk.open(shared, messages=1)
    assert desk.read("Spans") == "Three arches."
    desk.picture("shared")

    with Imap(server.target(), ann) as imap:
        processes.wait_until(lambda: held(imap) == {"INBOX": 1, "Archive": 1, "Trash": 1, "Sent": 1}, 20, "all filed")
        assert b'* LSUB () "/" Projects/Bridge' in imap.ok('LSUB "" "*"').texts(b"LSUB")
    said = thunderbird.dialogue()
    refused = [line for line in said if "Syntax Error" in line or " NO " in line or " BAD " in line]
    assert said and not refused


def held(imap: Imap) -> dict[str, int]:
    """Messages in each folder that has some."""
    counts = {}
    for name in ("INBOX", "Archive", "Drafts", "Junk", "Projects/Bridge", "Sent", "Trash"):
        [line] = imap.ok(f'STATUS "{name}" (MESSAGES)').texts(b"STATUS")
        counts[name] = int(line.rpartition(b" ")[2].rstrip(b")"))
    return {name: count for name, count in counts.items() if count}
