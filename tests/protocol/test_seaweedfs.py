"""The same protocols with SeaweedFS as the bucket: send, read, flag, move, delete, restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.clients import digest, letter, stored
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.protocol.odd_letters import APPEND_LETTERS, large


@pytest.fixture(scope="module")
def server(seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailpod]:
    home: Path = tmp_path_factory.mktemp("on-seaweedfs")
    bucket = seaweed.url("protocols", seaweed.new_bucket())
    mailpod = Mailpod(home, manifest.accounts(6), bucket=bucket, environment=seaweed.environment)
    mailpod.start()
    yield mailpod
    mailpod.stop()


def test_send_read_flag_move_and_delete(server: Mailpod) -> None:
    target, account = server.target(), server.accounts[0]
    with Smtp(target) as smtp:
        for _ in range(20):
            assert smtp.deliver("a@elsewhere.test", [account.address], letter()[1]).code == 250
    with Imap(target, account) as imap:
        imap.ok("SELECT INBOX")
        assert len(imap.bodies()) == 20
        imap.ok("STORE 1:10 +FLAGS.SILENT (\\Seen $Kept)")
        imap.ok("MOVE 1:5 Archive")
        imap.ok("COPY 1:5 Trash")
        imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        imap.ok("EXPUNGE")
        assert [imap.exists(name) for name in ("INBOX", "Archive", "Trash")] == [14, 5, 5]
    with Pop3(target, account) as pop3:
        pop3.ok("DELE 14")
        pop3.ok("QUIT")
    assert len(stored(target, account)) == 13


def test_odd_mail_is_kept_exactly(server: Mailpod) -> None:
    target, account = server.target(), server.accounts[1]
    with Imap(target, account) as imap:
        for message in APPEND_LETTERS.values():
            assert imap.append("INBOX", message).ok
    assert [digest(body) for body in stored(target, account)] == [
        digest(message) for message in APPEND_LETTERS.values()
    ]


def test_a_large_message(server: Mailpod) -> None:
    target, account = server.target(), server.accounts[2]
    message = large(25_000_000)
    with Imap(target, account, timeout=120) as imap:
        assert imap.append("INBOX", message).ok
    with Smtp(target, timeout=120) as smtp:
        assert smtp.deliver("a@elsewhere.test", [account.address], message).code == 250
    by_append, by_smtp = stored(target, account)
    assert digest(by_append) == digest(message)
    assert by_smtp.endswith(message)


def test_all_is_there_after_kill_and_restart(server: Mailpod) -> None:
    target, account = server.target(), server.accounts[3]
    with Imap(target, account) as imap:
        for _ in range(30):
            assert imap.append("INBOX", letter()[1]).ok
    before = stored(target, account)
    server.wait_restarted(server.kill_pod())
    assert stored(target, account) == before
