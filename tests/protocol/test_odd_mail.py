"""Odd mail survives byte for byte: SHA-256 of what was sent against what IMAP's BODY[] and POP3's RETR give."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.harness.clients import digest
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.smtp import Smtp
from tests.harness.target import Account, Target
from tests.protocol.odd_letters import APPEND_LETTERS, SMTP_LETTERS, large

FOREIGN = re.compile(rb"\A(?:(?:Return-Path|Delivered-To|Received):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+")
"""The lines that a server puts in front of what SMTP brought (RFC 5321 §4.4)."""


def given_back(target: Target, account: Account) -> dict[int, bytes]:
    """Every message of INBOX by UID; POP3 gives the same, but for the CRLF that its framing adds (RFC 1939 §3)."""
    with Imap(target, account, timeout=120) as imap:
        imap.ok("EXAMINE INBOX")
        bodies = imap.bodies()
        sizes = {}
        for text in imap.ok("UID FETCH 1:* (UID RFC822.SIZE)").texts(b"FETCH"):
            uid, size = re.search(rb"UID (\d+)", text), re.search(rb"RFC822\.SIZE (\d+)", text)
            assert uid and size
            sizes[int(uid[1])] = int(size[1])
    assert sizes == {uid: len(body) for uid, body in bodies.items()}
    with Pop3(target, account, timeout=120) as pop3:
        for number, (_, body) in enumerate(sorted(bodies.items()), 1):
            retrieved = pop3.multi(f"RETR {number}")
            assert digest(retrieved) == digest(body if body.endswith(b"\r\n") or not body else body + b"\r\n")
        pop3.ok("QUIT")
    return bodies


def test_smtp_brings_odd_mail_whole(target: Target, account: Account) -> None:
    with Smtp(target) as smtp:
        for name, message in SMTP_LETTERS.items():
            reply = smtp.deliver("a@elsewhere.test", [account.address], message, " BODY=8BITMIME")
            assert reply.code == 250, f"{name}: {reply}"
    bodies = given_back(target, account)
    assert len(bodies) == len(SMTP_LETTERS)
    for (name, sent), (_, body) in zip(SMTP_LETTERS.items(), sorted(bodies.items()), strict=True):
        assert body.endswith(sent), name
        added = body[: len(body) - len(sent)]
        assert FOREIGN.fullmatch(added), f"{name}: {added!r}"


def test_append_keeps_odd_mail_exactly(target: Target, account: Account) -> None:
    with Imap(target, account) as imap:
        for name, message in APPEND_LETTERS.items():
            result = imap.append("INBOX", message)
            assert result.ok, f"{name}: {result}"
    bodies = given_back(target, account)
    for (name, sent), (_, body) in zip(APPEND_LETTERS.items(), sorted(bodies.items()), strict=True):
        assert digest(body) == digest(sent), name


@pytest.mark.parametrize("name", APPEND_LETTERS)
def test_every_part_of_an_odd_letter_can_be_asked_for(target: Target, account: Account, name: str) -> None:
    sent = APPEND_LETTERS[name]
    with Imap(target, account) as imap:
        assert imap.append("INBOX", sent).ok
        imap.ok("EXAMINE INBOX")
        wanted = "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE"
        (response,) = imap.ok(f"FETCH 1 ({wanted})").untagged
        assert response.text.startswith(b"* 1 FETCH (")
        both = imap.ok("FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT])").untagged[0]
        head, text = sections(both.text, both.literals)
        assert head + text == sent
        (part,) = imap.ok("FETCH 1 BODY.PEEK[]<3.50>").untagged
        assert sections(part.text, part.literals) == [sent[3:53]]


def sections(text: bytes, literals: list[bytes]) -> list[bytes]:
    """The values after each BODY[…], literals and quoted strings alike."""
    rest = iter(literals)
    values = re.findall(rb'\](?:<\d+>)? (\{\d+\}|"(?:[^"\\]|\\.)*"|NIL)', text)
    return [next(rest) if value[:1] == b"{" else re.sub(rb"\\(.)", rb"\1", value.strip(b'"')) for value in values]


def test_an_empty_message(target: Target, account: Account) -> None:
    """RFC 3501 §6.3.11 lets APPEND of nothing be refused (it is how a client may abort); stored, it is empty."""
    with Imap(target, account) as imap:
        appended = imap.append("INBOX", b"").ok
    with Smtp(target) as smtp:
        assert smtp.deliver("a@elsewhere.test", [account.address], b"").code == 250
    bodies = [body for _, body in sorted(given_back(target, account).items())]
    assert len(bodies) == 1 + appended
    assert not appended or bodies[0] == b""
    assert FOREIGN.sub(b"", bodies[-1]) in {b"", b"\r\n"}


def test_nul_is_kept_or_refused(target: Target, account: Account) -> None:
    message = b"Subject: nul\r\n\r\na\0b\r\n"
    with Smtp(target) as smtp:
        code = smtp.deliver("a@elsewhere.test", [account.address], message).code
    assert code == 250 or 500 <= code < 600
    with Imap(target, account) as imap:
        appended = imap.append("INBOX", message).ok
    bodies = given_back(target, account)
    assert len(bodies) == (code == 250) + appended
    assert all(body.endswith(message) for body in bodies.values())


def test_no_final_newline_by_smtp(target: Target, account: Account) -> None:
    """RFC 5321 §4.1.1.4: the end of mail data is CRLF.CRLF, so the last line always ends CRLF."""
    with Smtp(target) as smtp:
        assert smtp.deliver("a@elsewhere.test", [account.address], b"Subject: x\r\n\r\nthe end").code == 250
    (body,) = given_back(target, account).values()
    assert body.endswith(b"\r\n\r\nthe end\r\n")


def test_25_megabytes(target: Target, account: Account) -> None:
    message = large(25_000_000)
    with Smtp(target, timeout=120) as smtp:
        assert smtp.deliver("a@elsewhere.test", [account.address], message, f" SIZE={len(message)}").code == 250
    with Imap(target, account, timeout=120) as imap:
        assert imap.append("INBOX", message).ok
    by_smtp, by_append = (body for _, body in sorted(given_back(target, account).items()))
    assert digest(by_append) == digest(message)
    assert digest(FOREIGN.sub(b"", by_smtp)) == digest(message)


def test_a_message_over_the_limit_is_refused(target: Target, account: Account) -> None:
    with Smtp(target) as smtp:
        (size,) = (line for line in smtp.extensions if line.startswith(b"SIZE"))
        limit = int(size.split()[1])
        assert smtp.command(f"MAIL FROM:<a@elsewhere.test> SIZE={limit + 1}").code == 552  # RFC 1870 §6.1
        smtp.expect(250, f"MAIL FROM:<a@elsewhere.test> SIZE={limit}")


def deliver_many(target: Target, account: Account, messages: list[bytes]) -> None:
    with Smtp(target) as smtp:
        for message in messages:
            assert smtp.deliver("a@elsewhere.test", [account.address], message).code == 250


@pytest.mark.slow
def test_10_000_small_messages(target: Target, account: Account) -> None:
    sent = [b"Subject: %d\r\n\r\n%s\r\n" % (n, b"." * (n % 7)) for n in range(10_000)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda start: deliver_many(target, account, sent[start::10]), range(10)))
    bodies = given_back(target, account)
    assert len(bodies) == 10_000
    assert {digest(FOREIGN.sub(b"", body)) for body in bodies.values()} == {digest(message) for message in sent}
