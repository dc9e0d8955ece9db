"""SMTP smuggling (RFC 5321 §2.3.8, §4.1.1.4): nothing but CRLF.CRLF ends a message, whatever else looks like it."""

from __future__ import annotations

import pytest
from tests.harness.clients import stored
from tests.harness.imap import Imap
from tests.harness.smtp import Smtp
from tests.harness.target import Account, Target

FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r\n\x00.\r\n",
    b"\r\r\n.\r\r\n",
]


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
def test_a_false_end_smuggles_nothing(target: Target, account: Account, end: bytes) -> None:
    smuggled = (
        f"MAIL FROM:<ceo@example.test>\r\nRCPT TO:<{account.address}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx".encode()
    )
    with Smtp(target) as smtp:
        smtp.envelope("a@elsewhere.test", [account.address])
        smtp.expect(354, "DATA")
        smtp.send(b"Subject: outer\r\n\r\nbody" + end + smuggled + b"\r\n.\r\n")
        reply = smtp.reply()
        assert reply.code == 250 or 500 <= reply.code < 600
        smtp.expect(250, "NOOP")  # one reply, and the session is where it should be
    messages = stored(target, account)
    assert len(messages) == (reply.code == 250)
    assert all(b"Subject: smuggled" in message.partition(b"\r\n\r\n")[2] for message in messages)


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n"], ids=repr)
def test_the_known_smuggling_sequences_are_refused(target: Target, account: Account, end: bytes) -> None:
    with Smtp(target) as smtp:
        smtp.envelope("a@elsewhere.test", [account.address])
        smtp.expect(354, "DATA")
        smtp.send(b"Subject: outer\r\n\r\nbody" + end + b"MAIL FROM:<x@y.test>\r\n\r\n.\r\n")
        assert 500 <= smtp.reply().code < 600
    assert stored(target, account) == []


def test_commands_before_starttls_are_dropped(target: Target, account: Account) -> None:
    """RFC 3207 §5: what came in the clear after STARTTLS is not taken for part of the secure session."""
    with Smtp(target) as smtp:
        smtp.send(b"STARTTLS\r\nRSET\r\nNOOP\r\n")
        assert smtp.reply().code in {220, 501, 503, 554}
        smtp.buffer.clear()
        try:
            smtp.start_tls(target.tls(), target.hostname)
            smtp.expect(250, "EHLO client.test")  # the first answer, not one to the injected commands
        except (OSError, EOFError):
            pass  # cut off: as safe


def test_imap_commands_before_starttls_are_dropped(target: Target, account: Account) -> None:
    with Imap(target) as imap:
        imap.send(b"A1 STARTTLS\r\nA2 CAPABILITY\r\n")
        assert imap.read_line().startswith(b"A1 ")
        imap.buffer.clear()
        try:
            imap.start_tls(target.tls(), target.hostname)
            imap.send(b"A3 NOOP\r\n")
            assert imap.read_line().startswith(b"A3 OK")
        except (OSError, EOFError):
            pass
