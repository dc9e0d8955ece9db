"""The bucket fails: SMTP 451, IMAP NO [UNAVAILABLE], POP3 -ERR [SYS/TEMP]; and all comes back by itself (DESIGN.md)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import MakeMailpod
from tests.fixtures_seaweed import Seaweed
from tests.harness.clients import fill, letter, stored
from tests.harness.imap import Imap
from tests.harness.need import missing, need
from tests.harness.pop3 import Pop3
from tests.harness.processes import wait_until
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp, stuffed
from tests.harness.target import Account, Target


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Seaweed]:
    """An S3 server of the test's own, which it may stop."""
    try:
        need("weed")
        server = Seaweed(tmp_path / "weed").start()
    except RuntimeError as error:
        missing(f"a SeaweedFS that starts ({error})")
    yield server
    server.stop()


@pytest.fixture
def server(make_mailpod: MakeMailpod, store: Seaweed) -> Mailpod:
    """It gives up sooner than by default: what is told then is the same, whenever that is."""
    bucket = f"{store.url('trial')}&request_timeout=4&read_deadline=4"
    return make_mailpod(bucket=bucket, environment=store.environment)


def delivers(target: Target, account: Account) -> int:
    """Try to deliver; the code of the last answer, be it to RCPT or to the final dot."""
    with Smtp(target, timeout=60) as smtp:
        smtp.expect(250, "MAIL FROM:<a@elsewhere.test>")
        reply = smtp.command(f"RCPT TO:<{account.address}>")
        if reply.code != 250:
            return reply.code
        smtp.expect(354, "DATA")
        smtp.send(stuffed(letter()[1]))
        return smtp.reply().code


def test_a_bucket_that_is_down_is_told_and_comes_back(server: Mailpod, store: Seaweed) -> None:
    server.wait_restarted(server.reconfigure(store={"commit_deadline": 5.0}))
    target = server.target()
    account = server.accounts[0]
    fill(target, account, 2)
    imap, other = Imap(target, account, timeout=40), Imap(target, account, timeout=40)
    pop3, smtp = Pop3(target, account, timeout=40), Smtp(target, timeout=40)
    imap.ok("SELECT INBOX")
    smtp.envelope("a@elsewhere.test", [account.address])
    smtp.expect(354, "DATA")
    pop3.ok("DELE 1")
    store.stop()
    with ThreadPoolExecutor() as pool:  # each waits for the commit's deadline, so all at once
        stored_flag = pool.submit(imap.command, "STORE 1 +FLAGS (\\Seen)")
        appended = pool.submit(other.append, "INBOX", letter()[1])
        quitted = pool.submit(pop3.command, "QUIT")
        smtp.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        reply = smtp.reply()
    assert reply.code == 451, reply
    assert reply.text.startswith("4.3.0"), reply
    assert stored_flag.result().tagged.startswith(b"NO [UNAVAILABLE]")
    assert appended.result().tagged.startswith(b"NO [UNAVAILABLE]")
    assert quitted.result().startswith(b"-ERR [SYS/TEMP]")
    assert server.is_ready(), "readiness drops only for a pod's own faults"

    store.start()
    wait_until(lambda: delivers(target, account) == 250, 60, "mail is taken again", step=0.5)
    assert other.append("INBOX", letter()[1]).ok
    imap.ok("STORE 1 +FLAGS (\\Seen)")
    assert 3 <= len(stored(target, account)) <= 6  # what was refused may have landed, but once


def test_a_bucket_that_hangs_is_a_temporary_failure(server: Mailpod, store: Seaweed) -> None:
    target = server.target()
    account = server.accounts[0]
    store.pause()
    try:
        assert delivers(target, account) == 451
        assert server.is_ready()
    finally:
        store.resume()
    wait_until(lambda: delivers(target, account) == 250, 60, "mail is taken again", step=0.5)
