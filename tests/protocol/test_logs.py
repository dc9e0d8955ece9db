"""One message is followed through the logs by its id: from SMTP's 250 to the UID that IMAP clients know it by."""

from __future__ import annotations

import json
from typing import Any

from tests.harness.clients import letter, wait_arrived
from tests.harness.imap import Imap
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.harness.target import Account


def about(server: Mailpod, id: str) -> list[dict[str, Any]]:
    """The events of a message, in order."""
    lines = [line for line in server.log_tail(limit=10_000_000).splitlines() if line.startswith("{") and id in line]
    return [event for line in lines if (event := json.loads(line)).get("id") == id]


def test_an_id_leads_from_smtp_to_imap(mailpod: Mailpod, account: Account, other: Account) -> None:
    target = mailpod.target()
    for recipients in ([account], [account, other]):
        subject, message = letter()
        with Smtp(target) as smtp:
            reply = smtp.deliver("a@elsewhere.test", [recipient.address for recipient in recipients], message)
        id = reply.text.rpartition(" ")[2]
        wait_arrived(target, recipients[-1], 1)
        wait_arrived(target, account, len(recipients))

        events = about(mailpod, id)
        assert [event["event"] for event in events if event["event"] == "smtp.accepted"] == ["smtp.accepted"]
        delivered = {event["user"]: event["uid"] for event in events if event["event"] == "mail.delivered"}
        assert delivered.keys() == {recipient.address for recipient in recipients}
        with Imap(target, account) as imap:
            imap.ok("SELECT INBOX")
            content = imap.bodies(str(delivered[account.address]))[delivered[account.address]]
        assert subject.encode() in content
        assert id.encode() in content  # in its Received field too
