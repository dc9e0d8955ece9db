"""The header of the PROXY protocol, and never an octet of what follows it."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.net.proxyheader import BadHeader, HeaderReader, Source

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def read(data: bytes, limit: int = 4096) -> tuple[Source | None, bytes]:
    """The source, and what was left in the socket. Raises EOFError where the header did not end."""
    reader = HeaderReader(limit)
    while reader.wanted:
        piece, data = data[: reader.wanted], data[reader.wanted :]
        if not piece:
            raise EOFError
        reader.feed(piece)
    return reader.source, data


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(rest)) + rest


V4 = ipaddress.ip_address("192.0.2.7").packed + ipaddress.ip_address("198.51.100.1").packed + struct.pack(">HH", 7, 25)
V6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("::1").packed + struct.pack(">HH", 7, 25)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n", ("192.0.2.7", 56324)),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 0 0\r\n", ("1.1.1.1", 0)),
        (b"PROXY TCP6 2001:db8::7 ::1 65535 25\r\n", ("2001:db8::7", 65535)),
        (b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n", ("ffff:" * 7 + "ffff", 65535)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n", None),
        (binary(0x21, 0x11, V4), ("192.0.2.7", 7)),
        (binary(0x21, 0x21, V6), ("2001:db8::7", 7)),
        (binary(0x21, 0x11, V4 + b"\x04\x00\x01x"), ("192.0.2.7", 7)),
        (binary(0x20, 0x00, b""), None),
        (binary(0x20, 0x11, V4), None),
        (binary(0x21, 0x00, b""), None),
        (binary(0x21, 0x31, bytes(216)), None),
    ],
)
@pytest.mark.parametrize("after", [b"", b"\x16\x03\x01\x02\x00", b"EHLO client.example\r\n"])
def test_header(header: bytes, source: tuple[str, int] | None, after: bytes) -> None:
    assert read(header + after) == (source, after)


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO client.example\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 56324 25\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 56324 25\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 56324 25\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 56324 25\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 56324 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 007 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -7 25\r\n",
        b"PROXY TC\r\nxxxxxxx",
        b"PROXY UNKNOWN " + b"x" * 200,
        b"proxy tcp4 192.0.2.7 198.51.100.1 56324 25\r\n",
        b"PROXY TCP4 \xd9\xa1.1.1.1 1.1.1.1 25 25\r\n",
        binary(0x31, 0x11, V4),
        binary(0x22, 0x11, V4),
        binary(0x21, 0x12, V4),
        binary(0x21, 0x11, V4[:11]),
        binary(0x21, 0x21, V6[:35]),
        binary(0x21, 0x11, V4 + bytes(5000)),
    ],
)
def test_bad_header(data: bytes) -> None:
    with pytest.raises(BadHeader):
        read(data)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest).filter(bool))
def test_anything_is_a_header_or_refused(data: bytes) -> None:
    try:
        _, after = read(data)
    except (BadHeader, EOFError):
        return
    assert data.endswith(after)


@given(st.ip_addresses(v=4), st.integers(0, 65535), st.binary(max_size=50), st.binary(max_size=50))
def test_both_versions_agree(address: ipaddress.IPv4Address, port: int, extra: bytes, after: bytes) -> None:
    line = f"PROXY TCP4 {address} 127.0.0.1 {port} 25\r\n".encode()
    packed = address.packed + bytes(4) + struct.pack(">HH", port, 25) + extra
    assert read(line + after) == read(binary(0x21, 0x11, packed) + after) == ((str(address), port), after)
