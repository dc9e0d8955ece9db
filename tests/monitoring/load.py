"""Something of everything that the dashboards show: mail in, mail read, and the faults that are quickly caused."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from tests.harness.clients import letter
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.harness.target import Account


@dataclass(frozen=True)
class Load:
    """`full` has a quota that a letter of some kilobytes goes beyond."""

    server: Mailpod
    full: Account

    def run(self, seconds: float) -> None:
        """Round after round, each on every pod."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for pod in range(self.server.pods):
                self.round(pod)
            time.sleep(0.1)

    def round(self, pod: int) -> None:
        target = self.server.pod_target(pod)
        alice, bob = self.server.accounts[:2]
        with Smtp(target) as smtp:
            smtp.deliver("a@elsewhere.test", [alice.address], letter()[1])
            smtp.deliver("a@elsewhere.test", [alice.address, bob.address], letter()[1])
            smtp.expect(250, "MAIL FROM:<a@elsewhere.test>")
            smtp.expect(550, "RCPT TO:<nobody@example.test>")
            smtp.expect(250, "RSET")
            reply = smtp.deliver("a@elsewhere.test", [self.full.address], letter(body="x" * 900 + "\r\n")[1])
            assert reply.code == 552
        with Smtp(target, "submissions") as smtp:
            smtp.login(alice)
            for recipient in (bob.address, "ann@elsewhere.test"):  # whose DNS does not answer here
                reply = smtp.deliver(alice.address, [recipient], letter(sender=alice.address)[1])
                assert reply.code == 250, reply
        with contextlib.closing(Imap(target, bob)) as imap:
            imap.ok("SELECT INBOX")
            imap.ok("FETCH 1:* (FLAGS BODY.PEEK[])")
            imap.command("SELECT Nowhere")
        with contextlib.closing(Pop3(target, bob)) as pop3:
            pop3.ok("STAT")
            pop3.command("RETR 999999")
            pop3.ok("QUIT")

    def guess_passwords(self) -> None:
        """Four failures at the first pod, of which the last have to wait."""
        for _ in range(4):
            with contextlib.closing(Imap(self.server.pod_target(0))) as imap:
                assert not imap.command(f"LOGIN {self.server.accounts[2].address} wrong").ok
