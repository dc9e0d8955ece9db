"""Ctrl-C stops it cleanly, a second run has all the mail, and a pod that is told to stop finishes what it is doing."""

from __future__ import annotations

import signal

import psutil
import pytest
from tests.conftest import MakeMailpod
from tests.harness.clients import fill, letter, stored
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.processes import tree, wait_until
from tests.harness.smtp import Smtp, stuffed


def test_ctrl_c_stops_cleanly_and_a_second_run_has_all_the_mail(make_mailpod: MakeMailpod) -> None:
    server = make_mailpod()
    target, account = server.target(), server.accounts[0]
    fill(target, account, 20)
    with Imap(target, account) as imap:
        imap.ok("SELECT INBOX")
        imap.ok("STORE 1:5 +FLAGS (\\Seen)")
        imap.ok("COPY 6 Archive")
        before = stored(target, account), imap.flags(), imap.uids()
        validity = imap.ok("SELECT INBOX").code(b"UIDVALIDITY")
        family = tree(server.process.pid)  # type: ignore[union-attr]
        assert server.interrupt() == 0
        assert b"* BYE" in imap.read_to_end()  # RFC 3501 §7.1.5
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert "Traceback" not in server.log_tail()
    server.start()
    with Imap(target, account) as imap:
        assert imap.ok("SELECT INBOX").code(b"UIDVALIDITY") == validity
        after = stored(target, account), imap.flags(), imap.uids()
        recent = frozenset({b"\\Recent"})
        assert after[0] == before[0]
        assert after[2] == before[2]
        assert {uid: flags - recent for uid, flags in after[1].items()} == {
            uid: flags - recent for uid, flags in before[1].items()
        }
        assert imap.exists("Archive") == 1


def test_sigterm_lets_data_in_progress_finish(make_mailpod: MakeMailpod) -> None:
    server = make_mailpod()
    target, account = server.target(), server.accounts[0]
    word, message = letter(body="line\r\n" * 1000)
    idler = Imap(target, account)
    idler.ok("SELECT INBOX")
    idler.begin("IDLE")
    assert idler.response().text.startswith(b"+")
    pop3 = Pop3(target, account)
    with Smtp(target) as smtp:
        smtp.envelope("a@elsewhere.test", [account.address])
        smtp.expect(354, "DATA")
        wire = stuffed(message)
        smtp.send(wire[:500])
        (pod,) = server.pod_processes()
        pod.send_signal(signal.SIGTERM)
        assert b"* BYE" in idler.read_to_end()
        smtp.send(wire[500:])
        assert smtp.reply().code == 250
        last = smtp.read_to_end()
        assert last == b"" or last.startswith(b"421 ")  # RFC 5321 §3.8
    pop3.read_to_end()
    server.wait_restarted(pod.pid)
    (found,) = stored(target, account)
    assert word.encode() in found


def test_a_draining_pod_takes_no_new_connection_and_is_not_ready(make_mailpod: MakeMailpod) -> None:
    server = make_mailpod()
    target, account = server.target(), server.accounts[0]
    with Smtp(target) as smtp:
        smtp.envelope("a@elsewhere.test", [account.address])
        smtp.expect(354, "DATA")
        (pod,) = server.pod_processes()
        pod.send_signal(signal.SIGTERM)
        wait_until(lambda: not server.is_ready(), 5, "the draining pod is not ready")
        with pytest.raises((OSError, EOFError, AssertionError, ValueError)):
            Smtp(target, timeout=2).expect(250, "MAIL FROM:<a@elsewhere.test>")
        smtp.send(b".\r\n")
        assert smtp.reply().code == 250
    server.wait_restarted(pod.pid)


def test_a_pod_that_dies_is_started_again(make_mailpod: MakeMailpod) -> None:
    server = make_mailpod()
    target, account = server.target(), server.accounts[0]
    fill(target, account, 3)
    server.wait_restarted(server.kill_pod())
    assert len(stored(target, account)) == 3
