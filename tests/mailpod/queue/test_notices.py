"""What a sender reads when mail does not arrive: the whole way, from submission to their INBOX by IMAP.

The notices as a mail program shows them are in notices/*.txt, for people to read; what differs each time (moments, ids)
is replaced there.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import imaplib
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.peer import Peer, running
from tests.harness.zone import Zone
from tests.mailpod.queue.outward import ALICE, pod, settled
from tests.mailpod.smtp.server import PASSWORD, Bucket, Server, plain

from mailpod.clock import SystemClock
from mailpod.imap.server import ImapSession
from mailpod.queue.causes import cause_of
from mailpod.queue.notices import compose
from mailpod.queue.report import RecipientReport, Report
from mailpod.services import Services
from mailpod.smtp.server import make_smtp
from mailpod.store.outbound import SpoolEntry
from mailpod.store.outcome import Outcome

FOLDER = Path(__file__).with_name("notices")
BOB = "Bob@far.test"
ZONE = ("far.test. MX 10 mx.far.test.", "mx.far.test. A 127.0.0.1")
LETTER = (
    b"From: Alice <alice@example.com>\r\nTo: Bob <Bob@far.test>\r\nSubject: Lunch on Friday?\r\n"
    b"Message-ID: <1@example.com>\r\n\r\nShall we?\r\n"
)
CASES: dict[str, tuple[str, dict[str, str]]] = {  # the recipient, and what their server says
    "no such user": (BOB, {"RCPT": "550 5.1.1 <Bob@far.test>: Recipient address rejected: User unknown"}),
    "no such domain": ("bob@faar.test", {}),
    "mailbox full": (BOB, {"RCPT": "552 5.2.2 <Bob@far.test>: the account is over its quota of 1 GB"}),
    "refused as spam": (BOB, {"dot": "554 5.7.1 Your message was classified as spam, see https://far.test/spam?id=42"}),
    "expired": (BOB, {"connect": "421 4.3.2 mx.far.test is down for maintenance, try again later…"}),
}


async def submit(services: Services, recipient: str, letter: bytes, mail: str = "", rcpt: str = "") -> None:
    """As Alice's mail program does."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: make_smtp(services, role="submission", implicit_tls=False), "127.0.0.1", 0
    )
    server = Server(services, Bucket(SystemClock()), listener.sockets[0].getsockname()[1])
    async with server.client() as client:
        await client.hello()
        await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")
        assert await client.say(f"MAIL FROM:<{ALICE}>{mail}") == "250 2.1.0 OK"
        assert await client.say(f"RCPT TO:<{recipient}>{rcpt}") == "250 2.1.5 OK"
        await client.say("DATA")
        client.send(letter + b".\r\n")
        assert (await client.reply()).startswith("250 ")
    listener.close()


async def read(services: Services) -> list[EmailMessage]:
    """Alice's INBOX by IMAP."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: ImapSession(services), "127.0.0.1", 0)

    def messages() -> list[bytes]:
        with imaplib.IMAP4("127.0.0.1", listener.sockets[0].getsockname()[1], timeout=20) as imap:
            imap.login(ALICE, PASSWORD)
            imap.select(readonly=True)
            _, found = imap.search(None, "ALL")
            return [cast(Any, imap.fetch(number, "(BODY[])")[1][0])[1] for number in found[0].split()]

    found = await asyncio.to_thread(messages)
    listener.close()
    return [parsed(message) for message in found]


def parsed(message: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(message.replace(b"\r\n", b"\n"), policy=email.policy.default))


def shown(notice: EmailMessage) -> str:
    """What a mail program shows, without what differs each time."""
    head = "".join(f"{name}: {notice[name]}\n" for name in ("From", "To", "Subject"))
    text = cast(EmailMessage, notice.get_body()).get_content()
    text = re.sub(r"(Sent:    ).*", r"\1Thu, 26 Nov 2026 14:00 UTC", text)
    return head + "\n" + re.sub(r"tried for .+?, always", "tried for 5 days, always", text)


async def failed(case: str, bucket: Bucket, **sent: str) -> tuple[Services, list[EmailMessage]]:
    """Alice writes to somebody, and their server says no."""
    recipient, says = CASES[case]
    async with running(Peer()) as peer:
        for command, reply in says.items():
            peer.say(command, reply)
        services = await pod(bucket, Zone(*ZONE), peer.port, expiry=0.3 if case == "expired" else 1000)
        services.spool.start()
        await submit(services, recipient, LETTER, **sent)
        await settled(bucket)
        await services.spool.stop()
        return services, await read(services)


@pytest.mark.parametrize("case", CASES)
async def test_the_notice_as_a_person_sees_it(case: str) -> None:
    _, [notice] = await failed(case, Bucket(SystemClock()))
    assert shown(notice) == (FOLDER / f"{case.replace(' ', '-')}.txt").read_text()
    assert max(map(len, shown(notice).splitlines())) <= 80
    assert notice["Auto-Submitted"] == "auto-replied" and notice["Return-Path"] == "<>"
    assert notice["In-Reply-To"] == "<1@example.com>"
    assert notice.get_content_type() == "multipart/report" and notice.get_param("report-type") == "delivery-status"
    _, status, original = cast(list[EmailMessage], notice.get_payload())
    message, recipient = cast(list[EmailMessage], status.get_payload())
    assert message["Reporting-MTA"] == "dns; mx.example.com"
    assert (recipient["Action"], recipient["Final-Recipient"]) == ("failed", f"rfc822; {CASES[case][0]}")
    assert recipient["Status"][0] in "45"
    assert original.get_content_type() == "text/rfc822-headers"
    assert "\nSubject: Lunch on Friday?\n" in original.get_content() and "Shall we" not in original.get_content()


async def test_the_whole_message_where_it_was_asked_for() -> None:
    _, [notice] = await failed("no such user", Bucket(SystemClock()), mail=" RET=FULL ENVID=a+2Bb")
    _, status, original = cast(list[EmailMessage], notice.get_payload())
    assert original.get_content_type() == "message/rfc822"
    assert original.get_content().get_content() == "Shall we?\n"
    assert cast(list[EmailMessage], status.get_payload())[0]["Original-Envelope-Id"] == "a+b"


async def test_nothing_where_nothing_was_wanted() -> None:
    _, notices = await failed("no such user", Bucket(SystemClock()), rcpt=" NOTIFY=NEVER")
    assert notices == []


async def test_delivered_here() -> None:
    bucket = Bucket(SystemClock())
    services = await pod(bucket, Zone(), 1)
    await submit(services, "carol@example.com", LETTER, rcpt=" NOTIFY=SUCCESS")
    await settled(bucket)
    [notice] = await read(services)
    assert "carol@example.com\n    It is in the mailbox.\n" in shown(notice)
    assert notice["Subject"] == "Delivered: Lunch on Friday?"
    await services.spool.stop()


def report(kind: Any, outcome: Outcome, message: bytes = LETTER, recipient: str = BOB, **fields: Any) -> Report:
    entry = SpoolEntry("id", ALICE, (recipient,), 1.7e9, user=ALICE, **fields)
    return Report(kind, entry, message, (RecipientReport(recipient, outcome),), 1.7e9 + 86400)


def composed(of: Report) -> EmailMessage:
    whole = compose(
        of, hostname="mx.example.com", domain="example.com", to=ALICE, notice_id="n", now=1.7e9, whole_up_to=1000
    )
    assert b"\n" not in whole.replace(b"\r\n", b"") and whole.endswith(b"--\r\n")
    return parsed(whole)


def test_a_delay() -> None:
    greylisted = Outcome("delayed", "4.7.1", "450 4.7.1 Greylisted", "mx.far.test", said=True)
    text = shown(composed(report("delayed", greylisted)))
    assert "It is tried again until\nWed, 15 Nov 2023 22:13 UTC; you need not do anything." in text
    assert "What you can do" not in text


def test_handed_on() -> None:
    text = shown(composed(report("delivered", Outcome("relayed", "2.0.0", "250 ok", "mx.far.test", said=True))))
    assert "It was handed to mx.far.test, which does not tell whether it arrives" in text.replace("\n    ", " ")


@pytest.mark.parametrize(
    ("said", "status", "what"),
    [
        ("550 5.1.1 unknown", "5.1.1", "no such address"),
        ("550 sorry, no such user here", "5.0.0", "no such address"),
        ("550 <a@b>: recipient unknown", "5.0.0", "no such address"),
        ("552 mailbox is full", "5.0.0", "mailbox is full"),
        ("452 4.2.2 over quota", "4.4.7", "mailbox is full"),
        ("552 5.3.4 too big", "5.3.4", "too large"),
        ("552 message exceeds the fixed maximum size", "5.0.0", "too large"),
        ("554 listed by zen.spamhaus.org", "5.0.0", "takes it for spam"),
        ("550 5.7.26 unauthenticated", "5.7.26", "really from example.com"),
        ("554 5.7.511 access denied", "5.7.511", "takes it for spam"),
        ("certificate has expired", "4.7.5", "not have been safe"),
        ("the server does not offer REQUIRETLS", "5.7.30", "REQUIRETLS"),
        ("no answer in time", "4.4.7", "did not answer"),
        ("556 takes no mail", "5.1.10", "takes no mail at all"),
        ("550 what", "5.0.0", "refused the message"),
        ("550 5.6.7 needs SMTPUTF8", "5.6.7", "letters that the recipient's server"),
    ],
)
def test_causes(said: str, status: str, what: str) -> None:
    outcome = Outcome("failed", status, said, "mx.far.test", said=said[0].isdigit())
    text = shown(composed(report("failed", outcome)))
    assert what in re.sub(r"\s+", " ", text)
    assert "What you can do: " in text


def test_addresses_beyond_ascii() -> None:
    """RFC 6533."""
    letter = "From: a@example.com\r\nSubject: Grüße\r\n\r\n".encode()
    outcome = Outcome("failed", "5.1.1", "550 5.1.1 unbekannt: jörg", "mx.far.test", said=True)
    notice = composed(report("failed", outcome, letter, "jörg@far.test"))
    assert notice.get_param("report-type") == "global-delivery-status"
    assert [part.get_content_type() for part in notice.iter_parts()] == [
        "text/plain",
        "message/global-delivery-status",
        "message/global-headers",
    ]
    assert notice["Subject"] == "Not delivered: Grüße"
    assert "jörg@far.test\n    There is no such address.\n" in shown(notice)


def test_a_message_that_is_too_large_to_come_back() -> None:
    outcome = Outcome("failed", "5.1.1", "550 no", "mx.far.test", said=True)
    notice = composed(report("failed", outcome, LETTER + b"x" * 1000, ret="FULL"))
    assert [part.get_content_type() for part in notice.iter_parts()][2] == "text/rfc822-headers"


@given(
    st.text(max_size=300),
    st.sampled_from(["", "5.0.0", "5.7.1", "4.4.7", "5.1.10", "5.99.99"]),
    st.booleans(),
    st.sampled_from(["failed", "delayed"]),
    st.lists(
        st.sampled_from([b"Subject:", b"\r\n", b"--=_n--", b" ", b"\xff", b"=?utf-8?q?=0D=0A?=", b"x"]), max_size=9
    ),
)
def test_whatever_a_server_said_it_is_one_report(
    said: str, status: str, quoted: bool, kind: str, pieces: list[bytes]
) -> None:
    outcome = Outcome(cast(Any, kind), status, said, "mx.far.test", said=quoted)
    assert cause_of(outcome).advice
    notice = composed(report(kind, outcome, b"Subject: " + b"".join(pieces) + b"\r\n\r\n"))
    assert not notice.defects
    assert len(list(notice.iter_parts())) == 3
    status_part = cast(EmailMessage, list(notice.iter_parts())[1])
    assert [group.get("Action") for group in cast(list[EmailMessage], status_part.get_payload())] == [None, kind]
