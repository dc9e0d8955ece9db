"""What changes in the manifest file is in force within 10 s, and nobody else's connection notices (DECISIONS.md)."""

from __future__ import annotations

import imaplib
import poplib
import time
from collections.abc import Callable

import pytest
from tests.conftest import MakeMailpod
from tests.harness import manifest
from tests.harness.clients import letter, stored
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.processes import wait_until
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.harness.target import Account, Target

PROMISE = 10.0


def logs_in(target: Target, account: Account) -> bool:
    try:
        with Imap(target) as imap:
            return imap.command(f'LOGIN "{account.address}" "{account.password}"').ok
    except (EOFError, ConnectionError):
        return False


def is_closed(session: Imap) -> Callable[[], bool]:
    def closed() -> bool:
        session.sock.settimeout(0.01)
        try:
            session.fill()
        except TimeoutError:
            return False
        except (EOFError, ConnectionError):
            return True
        return False

    return closed


@pytest.fixture
def server(make_mailpod: MakeMailpod) -> Mailpod:
    return make_mailpod(accounts=3)


def accepts(target: Target, address: str) -> int:
    with Smtp(target) as smtp:
        smtp.expect(250, "MAIL FROM:<a@elsewhere.test>")
        return smtp.command(f"RCPT TO:<{address}>").code


def test_an_added_mailbox_works_within_10_seconds(server: Mailpod) -> None:
    target = server.target()
    bystander = Imap(target, server.accounts[0])
    new = Account(f"newcomer@{manifest.DOMAIN}", "a new password")
    assert accepts(target, new.address) == 550
    server.add(new)
    added = time.monotonic()
    wait_until(lambda: accepts(target, new.address) == 250, PROMISE, "mail for the new mailbox is taken")
    wait_until(lambda: logs_in(target, new), PROMISE - (time.monotonic() - added), "the new mailbox can log in", step=1)
    with Smtp(target) as smtp:
        assert smtp.deliver("a@elsewhere.test", [new.address], letter()[1]).code == 250
    assert len(stored(target, new)) == 1
    assert bystander.ok("NOOP").untagged == []


def test_a_removed_mailbox_cannot_log_in_and_its_sessions_end(server: Mailpod) -> None:
    target = server.target()
    gone, stays = server.accounts[0], server.accounts[1]
    session, bystander = Imap(target, gone), Imap(target, stays)
    session.ok("SELECT INBOX")
    server.remove(gone)
    wait_until(is_closed(session), PROMISE, "the removed mailbox's session was closed")
    assert b"* BYE" in session.buffer
    assert not logs_in(target, gone)
    assert bystander.ok("NOOP").untagged == []
    assert logs_in(target, stays)
    with pytest.raises(poplib.error_proto):
        poplib.POP3(target.host, target.port("pop3"), timeout=30).apop(gone.address, gone.password)


def test_a_removed_mailbox_that_comes_back_has_its_mail(server: Mailpod) -> None:
    """deletionPolicy Retain: nothing is closed or purged."""
    target = server.target()
    account = server.accounts[0]
    with Imap(target, account) as imap:
        assert imap.append("INBOX", letter()[1]).ok
    server.remove(account)
    wait_until(lambda: accepts(target, account.address) != 250, PROMISE, "mail for it is refused")
    server.add(account)
    wait_until(lambda: accepts(target, account.address) == 250, PROMISE, "mail for it is taken again")
    assert len(stored(target, account)) == 1


def test_a_new_password_closes_the_sessions_of_the_old_one(server: Mailpod) -> None:
    target = server.target()
    old = server.accounts[0]
    session, bystander = Imap(target, old), Imap(target, server.accounts[1])
    idler = Imap(target, old)
    idler.ok("SELECT INBOX")
    idler.begin("IDLE")
    assert idler.response().text.startswith(b"+")
    pop3 = Pop3(target, old)
    new = server.change_password(old, "another password")
    changed = time.monotonic()
    wait_until(is_closed(session), PROMISE, "the old password's session was closed")
    wait_until(is_closed(idler), PROMISE - (time.monotonic() - changed), "the idling session was closed")
    with pytest.raises((EOFError, ConnectionError, AssertionError)):
        pop3.ok("STAT")
    assert logs_in(target, new)
    assert not logs_in(target, old)
    assert bystander.ok("NOOP").untagged == []


def test_a_manifest_that_does_not_parse_changes_nothing(server: Mailpod) -> None:
    target = server.target()
    with Imap(target, server.accounts[0]) as session:
        server.manifest.write_text("apiVersion: mailpod.dev/v1alpha1\nkind: MailDomain\nspec: {domainNme: x}\n")
        wait_until(lambda: "domainNme" in server.log_tail(), PROMISE, "the log names the field")
        time.sleep(5)
        assert session.ok("NOOP").ok
    assert logs_in(target, server.accounts[1])


def test_failed_logins_are_slowed(server: Mailpod) -> None:
    target = server.target()
    started = time.monotonic()
    for _ in range(5):
        with pytest.raises(imaplib.IMAP4.error):
            imaplib.IMAP4(target.host, target.port("imap"), timeout=60).login(server.accounts[0].address, "wrong")
    assert time.monotonic() - started > 1.0
