"""Beside Dovecot 2.3: the same messages to both, the same ENVELOPE, BODYSTRUCTURE and BODY, but for what is named here.

Messages have CRLF lines: where a message is stored with bare LF, Dovecot counts each as two octets.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.harness.need import missing
from tests.mailpod.mime import dovecot, test_addresses, test_bodystructure
from tests.mailpod.mime.corpus import MESSAGES
from tests.mailpod.mime.grammar import read

from mailpod.mime.scan import scan
from mailpod.mime.sections import body_from_bodystructure

# Where we differ on purpose
OURS = {
    "msg_14.txt": 'Content-Type "text": Dovecot sends empty strings, we text/plain (RFC 2045 §5.2)',
    "msg_33.txt": "RFC 2231: Dovecot sorts such parameters to other places",
}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that Dovecot can reach when it has dropped root: pytest's own are closed to others."""
    if not dovecot.IMAP.exists():
        missing("dovecot-imapd")
    folder = Path(tempfile.mkdtemp(prefix="mailpod-mime-"))
    yield folder
    shutil.rmtree(folder)


def both(home: Path, messages: list[bytes]) -> list[tuple[dict[bytes, Any], dict[bytes, Any]]]:
    """Our answers and Dovecot's, message by message."""
    ours = []
    for message in messages:
        found = scan(message)
        body = body_from_bodystructure(found.bodystructure)
        ours.append(
            {b"ENVELOPE": read(found.envelope), b"BODYSTRUCTURE": read(found.bodystructure), b"BODY": read(body)}
        )
    return list(zip(ours, dovecot.fetch(home, messages, "ENVELOPE BODYSTRUCTURE BODY"), strict=True))


def lower_types(value: Any) -> Any:
    """Dovecot writes MESSAGE/RFC822 in lower case always."""
    if isinstance(value, list):
        return [lower_types(item) for item in value]
    return value.lower() if value in (b"MESSAGE", b"RFC822") else value


def test_cpythons_messages(home: Path) -> None:
    paths = [path for path in MESSAGES if path.name not in OURS]
    if not paths:
        missing("test.test_email of this Python (Debian: libpython3.11-testsuite)")
    messages = [re.sub(rb"\r?\n", b"\r\n", path.read_bytes()) for path in paths]
    for path, (ours, theirs) in zip(paths, both(home, messages), strict=True):
        for item in ours:
            assert lower_types(ours[item]) == lower_types(theirs[item]), (path.name, item)


def test_boundaries(home: Path) -> None:
    bodies = [body for body, _ in _cases(test_bodystructure.test_boundaries)]
    messages = [test_bodystructure.MIXED + body for body in bodies if b"\n\n" not in body]
    for message, (ours, theirs) in zip(messages, both(home, messages), strict=True):
        assert ours == theirs, message


def test_addresses_of_rfc_5322(home: Path) -> None:
    fields = [field for field, _ in _cases(test_addresses.test_a_field_and_its_list)]
    messages = [b"To: " + field + b"\r\n\r\n" for field in fields]
    differ = {
        field
        for field, (ours, theirs) in zip(fields, both(home, messages), strict=True)
        if ours[b"ENVELOPE"] != theirs[b"ENVELOPE"]
    }
    assert differ == {
        # Dovecot sends an address of nothing for an empty element (RFC 5322 §4.4 has them stand for none) …
        b"Mary Smith <@node.test:mary@example.net>, , jdoe@test . example",
        # … drops the rest of the list after these …
        b"a@b; c@d",
        b"<a@b> x, c@d",
        b"g:a@b; c@d",
        # … and takes the name for the address, or loses it, here
        b"'a@b' <a@b>",
        b"x <<a@b>>",
        b"a\0@b",
    }


PIECES = [
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    b"Content-Type: multipart/alternative; boundary=bb\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=c\r\n\r\n",
    *(b"Content-Type: message/rfc822\r\n\r\n", b"Content-Type: image/png\r\n\r\n", b"Content-Type: text/html\r\n"),
    *(b"--b\r\n", b"--b\r\n\r\n", b"--b--\r\n", b"--bb\r\n", b"--bb--\r\n", b"--c\r\n", b"--c\r\n\r\n", b"--c--\r\n"),
    *(b"\r\n", b"x\r\n", b"x", b"Subject: a\r\n", b"--", b"--b"),
]


def test_boundaries_in_any_order(home: Path) -> None:
    random = Random(1)
    messages = [random.choice(PIECES[:3]) + b"".join(random.choices(PIECES, k=12)) for _ in range(1000)]
    for message, (ours, theirs) in zip(messages, both(home, messages), strict=True):
        assert ours[b"ENVELOPE"] == theirs[b"ENVELOPE"], message
        # sizes apart: of a message that ends with a closing boundary Dovecot counts the line end that follows, which
        # is the outer boundary's (RFC 2046 §5.1.1)
        assert without_sizes(ours[b"BODYSTRUCTURE"]) == without_sizes(theirs[b"BODYSTRUCTURE"]), message


def without_sizes(value: Any) -> Any:
    if isinstance(value, list):
        return [without_sizes(item) for item in value]
    return None if isinstance(value, int) else value


def _cases(test: Any) -> list[Any]:
    """The argument sets of a parametrized test."""
    marks = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return list(marks[0].args[1])
