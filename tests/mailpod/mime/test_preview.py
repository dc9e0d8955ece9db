"""Previews (RFC 8970 §3.2), parts without their encoding, and messages without NULs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.mime.strategies import messages

from mailpod.mime.decoding import UnknownEncoding, decoded_part
from mailpod.mime.encoding import CannotEncode, without_nuls
from mailpod.mime.preview import preview
from mailpod.mime.scan import scan


def shown(data: bytes) -> str:
    found = scan(data)
    return preview(data, found.parts, found.header_size)


def alternative(*parts: bytes) -> bytes:
    bodies = b"".join(b"--b\r\n%b\r\n" % part for part in parts)
    return b"Content-Type: multipart/alternative; boundary=b\r\n\r\n%b--b--\r\n" % bodies


HTML = b"Content-Type: text/html\r\n\r\n<head><title>T</title></head><style>p{}</style><p>Some &amp; <b>more</b></p>"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\r\nHello,\r\n\r\n  how are\tyou?\r\n", "Hello, how are you?"),
        (HTML, "Some & more"),
        (alternative(HTML, b"Content-Type: text/plain\r\n\r\nplain"), "plain"),
        (alternative(b"Content-Type: image/png\r\n\r\nx", HTML), "Some & more"),
        (alternative(b"Content-Disposition: attachment\r\n\r\nno", b"\r\nyes"), "yes"),
        (b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==", "Grüße"),
        (b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc", "a=bc"),
        (b"\r\n> old\r\nnew\r\n", "new"),
        (b"\r\n> only\r\n> quoted\r\n", "> only > quoted"),
        (b"Content-Type: image/png\r\n\r\nx", ""),
        (b"Content-Type: text/html\r\n\r\n<script>never", ""),
        (b"\r\n" + b"word " * 100, ("word " * 40).strip()),
    ],
)
def test_what_is_shown(message: bytes, text: str) -> None:
    assert shown(message) == text


@given(messages, st.integers(0, 400))
def test_of_any_message(message: bytes, cut: int) -> None:
    found = scan(message)
    text = preview(message[: found.header_size + cut], found.parts, found.header_size)
    assert len(text) <= 200
    assert "\n" not in text and "\0" not in text
    text.encode()


@given(messages)
def test_any_part_is_decoded_or_its_encoding_named(message: bytes) -> None:
    try:
        decoded_part(message)
    except UnknownEncoding:
        assert b"content-transfer-encoding" in message.lower()


@given(messages)
def test_no_nul_is_left(message: bytes) -> None:
    try:
        encoded = without_nuls(message)
    except CannotEncode:
        assert b"\0" in message
        return
    assert b"\0" not in encoded
    assert encoded == message or b"\0" in message
