"""Header fields that the server adds, and what it finds in those that are there."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.smtp.trace import Hop, hops, missing_fields, received

HOP = Hop("client.example", "192.0.2.1", "mx.example.com", "id-1", 1_700_000_000.5)


def changed(**fields: object) -> Hop:
    from dataclasses import replace

    return replace(HOP, **fields)  # type: ignore[arg-type]


def test_received() -> None:
    assert received(changed(recipient="bob@example.com", tls=("TLSv1.3", "AES"))) == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b"\tby mx.example.com with ESMTPS (TLSv1.3 AES)\r\n"
        b"\tid id-1 for <bob@example.com>;\r\n"
        b"\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "keyword"),
    [
        ({"extended": False}, "SMTP"),
        ({}, "ESMTP"),
        ({"tls": ("a", "b")}, "ESMTPS"),
        ({"authenticated": True}, "ESMTPA"),
        ({"tls": ("a", "b"), "authenticated": True}, "ESMTPSA"),
        ({"utf8": True, "tls": ("a", "b"), "authenticated": True}, "UTF8SMTPSA"),
        ({"utf8": True}, "UTF8SMTP"),
    ],
)
def test_protocol_keyword(fields: dict[str, object], keyword: str) -> None:
    assert f" with {keyword}".encode() in received(changed(**fields)).replace(b"\r\n", b" ")
    assert f" with {keyword} ".encode() in received(changed(**fields)).replace(b"\r\n", b" ")


def test_ipv6() -> None:
    assert b"([IPv6:2001:db8::1])" in received(changed(client_host="2001:db8::1"))


@given(st.text(max_size=300))
def test_no_client_name_breaks_the_field(name: str) -> None:
    message = message_from_bytes(received(changed(client_name=name)) + b"\r\n", policy=policy.default)
    assert message.keys() == ["Received"]
    assert message["Received"].endswith(" +0000")


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b"", 0),
        (b"\r\nReceived: in the body\r\n", 0),
        (b"Received: a\r\nX: y\r\nRECEIVED : b\r\nX-Received: c\r\n\r\nReceived: d\r\n", 2),
        (b"Received: a\r\n Received: folded\r\n", 1),
    ],
)
def test_hops(content: bytes, count: int) -> None:
    assert hops(content) == count


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"Subject: x\r\n\r\nDate: none\r\n", [b"Date", b"Message-ID"]),
        (b"DATE: x\r\n\r\n", [b"Message-ID"]),
        (b"A: b\r\nMessage-Id: <1>\r\n", [b"Date"]),
        (b"Message-Id: <1>\r\nDate: x\r\n\r\n", []),
        (b"\r\nDate: x\r\n", [b"Date", b"Message-ID"]),
        (b"X: y\r\n Date: folded\r\nResent-Date: z\r\n\r\n", [b"Date", b"Message-ID"]),
    ],
)
def test_missing_fields(content: bytes, names: list[bytes]) -> None:
    added = missing_fields(content, seconds=1_700_000_000, queue_id="id-1", domain="example.com")
    assert [line.partition(b":")[0] for line in added.splitlines()] == names
    for line in added.splitlines():
        if line.startswith(b"Date: "):
            assert parsedate_to_datetime(line[6:].decode()).timestamp() == 1_700_000_000
