"""CPython's own odd messages (test.test_email): what they hold is found where the `email` package finds it."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from tests.harness.need import missing
from tests.mailpod.mime.corpus import MESSAGES
from tests.mailpod.mime.grammar import check_body, check_envelope, read

from mailpod.mime.scan import scan
from mailpod.mime.sections import body_from_bodystructure, locate

LINE_ENDS = {"CRLF": b"\r\n", "LF": b"\n"}

# Damaged ones, in which the email package finds other leaves; on all of them Dovecot and we agree (test_dovecot.py)
DIFFERENT = {
    **dict.fromkeys(("msg_17.txt", "msg_25.txt", "msg_31.txt", "msg_33.txt", "msg_41.txt", "msg_42.txt"), "no parts"),
    **dict.fromkeys(("msg_15.txt", "msg_38.txt", "msg_39.txt"), "one boundary inside the other"),
    **dict.fromkeys(("msg_19.txt", "msg_35.txt", "msg_47.txt"), "no blank line after the header"),
    "msg_37.txt": "boundaries with nothing between them",
}


def test_the_messages_are_here() -> None:
    if not MESSAGES:
        missing("test.test_email of this Python (Debian: libpython3.11-testsuite)")


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.name)
@pytest.mark.parametrize("ends", LINE_ENDS)
def test_the_answers_are_valid(path: Path, ends: str) -> None:
    found = scan(re.sub(rb"\r?\n", LINE_ENDS[ends], path.read_bytes()))
    check_envelope(read(found.envelope))
    check_body(read(found.bodystructure), extension=True)
    check_body(read(body_from_bodystructure(found.bodystructure)), extension=False)


@pytest.mark.parametrize("path", [path for path in MESSAGES if path.name not in DIFFERENT], ids=lambda path: path.name)
@pytest.mark.parametrize("ends", LINE_ENDS)
def test_every_leaf_is_where_the_email_package_has_it(path: Path, ends: str) -> None:
    data = re.sub(rb"\r?\n", LINE_ENDS[ends], path.read_bytes())
    found = scan(data)
    for numbers, part in leaves(email.message_from_bytes(data), ()):
        place = locate(found.parts, len(data), found.header_size, numbers or (1,), "")
        assert place is not None, numbers
        # the email package decodes and encodes again, which leaves ASCII alone
        payload = part.get_payload()
        assert isinstance(payload, str)
        assert plain(data[slice(*place)]) == plain(payload.encode("ascii", "surrogateescape")), numbers


def plain(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def leaves(message: Message, numbers: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Message]]:
    """The leaves with their IMAP part numbers (RFC 3501 §6.4.5)."""
    payload = message.get_payload()
    if not isinstance(payload, list):
        yield numbers, message
    elif message.get_content_maintype() == "multipart":
        for n, child in enumerate(payload, 1):
            assert isinstance(child, Message)
            yield from leaves(child, (*numbers, n))
    elif message.get_content_type() == "message/rfc822":
        child = payload[0]
        assert isinstance(child, Message)
        inner = child.get_content_maintype() in ("multipart", "message")
        yield from leaves(child, numbers if inner else (*(numbers or (1,)), 1))
