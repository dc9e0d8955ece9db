"""What a client's commands say of spam."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.selected import desk, letter


@pytest.mark.parametrize(
    ("mailbox", "command", "lessons"),
    [
        ("INBOX", "COPY 1:2 Junk", [("Junk", [1, 2], True)]),
        ("INBOX", "MOVE 2 Junk", [("Junk", [1], True)]),
        ("INBOX", "UID MOVE 2 Junk", [("Junk", [1], True)]),
        ("INBOX", "MOVE 1:2 Archive", []),
        ("INBOX", "MOVE 1:2 Trash", []),
        ("INBOX", "COPY 1 inbox", []),
        ("INBOX", "UID COPY 9 Junk", []),
        ("INBOX", "COPY 1 Nowhere", []),
        ("Junk", "MOVE 1 INBOX", [("INBOX", [3], False)]),
        ("Junk", "MOVE 1:2 Archive", [("Archive", [1, 2], False)]),
        ("Junk", "MOVE 1:2 Trash", []),
        ("Junk", "COPY 1 Junk", []),
        ("INBOX", "STORE 1:2 +FLAGS ($Junk)", [("INBOX", [1, 2], True)]),
        ("INBOX", "STORE 1 +FLAGS.SILENT ($notjunk \\Seen)", [("INBOX", [1], False)]),
        ("INBOX", "STORE 1 FLAGS ($JUNK)", [("INBOX", [1], True)]),
        ("INBOX", "STORE 1 -FLAGS ($Junk)", []),
        ("INBOX", "STORE 1 +FLAGS ($Junk $NotJunk)", []),
        ("INBOX", "STORE 1 +FLAGS (\\Flagged)", []),
        ("INBOX", "STORE 1:2 (UNCHANGEDSINCE 1) +FLAGS ($Junk)", [("INBOX", [], True)]),
    ],
)
async def test_lessons(mailbox: str, command: str, lessons: list[tuple[str, list[int], bool]]) -> None:
    async with desk() as at:
        await at.deliver(letter("a"), letter("b"))
        if mailbox == "Junk":
            await at.account.copy(at.account.mailbox("INBOX"), [1, 2], "Junk")
        client = at.select(mailbox)
        await client.say(command)
        assert client.services.teacher.lessons == lessons
