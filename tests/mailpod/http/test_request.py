"""HTTP requests by value, and answers over a socket."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.support import bare_services

from mailpod.http.health import Health
from mailpod.http.request import MAX_HEAD, HttpError, Request, parse_request
from mailpod.http.server import HttpSession


def parse(data: bytes) -> Request | None:
    return parse_request(bytearray(data))


def test_requests() -> None:
    assert parse(b"GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n") == Request("GET", "/metrics", "a=b", True, "x")
    assert parse(b"HEAD / HTTP/1.0\r\n\r\n") == Request("HEAD", "/", "", False)
    assert parse(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == Request("GET", "/", "", True)
    assert parse(b"GET / HTTP/1.1\r\nhost:x\r\nCONNECTION: Close\r\n\r\n") == Request("GET", "/", "", False, "x")
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    assert parse(body) == Request("POST", "/", "", False, "x", length=3)


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("Mail.Example.org:8443", "mail.example.org"),
        ("mail.example.org.", "mail.example.org"),
        ("[::1]:80", "::1"),
        ("[", ""),
    ],
)
def test_the_host_is_without_its_port(written: str, host: str) -> None:
    found = parse(f"GET / HTTP/1.1\r\nHost: {written}\r\nAccept: text/plain\r\n\r\n".encode())
    assert found is not None
    assert (found.host, found.accept) == (host, "text/plain")


def test_requests_come_in_pieces_and_the_next_is_left() -> None:
    data = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    buffer = bytearray()
    for byte in data[:-1]:
        buffer.append(byte)
        assert parse_request(buffer) is None
    buffer += data[-1:] + b"GET /b"
    assert parse_request(buffer) == Request("GET", "/a", "", True, "x")
    assert buffer == b"GET /b"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"EHLO mail.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD, 431),
    ],
)
def test_bad_requests(data: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        parse(data)
    assert caught.value.status == status


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    try:
        parse(data + b"\r\n\r\n")
    except HttpError as error:
        assert error.status == 400


@pytest.fixture
async def served() -> AsyncIterator[tuple[int, Health]]:
    services, health = bare_services(), Health()
    server = await asyncio.get_running_loop().create_server(lambda: HttpSession(services, health), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], health
    server.close()
    services.connections.abort()
    await asyncio.sleep(0.01)


def ask(port: int, *requests: tuple[str, str]) -> list[tuple[int, bytes, dict[str, str]]]:
    """All requests on one connection, kept open where the server allows."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    answers = []
    for method, path in requests:
        connection.request(method, path)
        response = connection.getresponse()
        answers.append((response.status, response.read(), dict(response.getheaders())))
    connection.close()
    return answers


async def test_answers(served: tuple[int, Health]) -> None:
    port, health = served
    health.has_keys = True
    requests = [("GET", "/readyz"), ("GET", "/healthz"), ("GET", "/metrics"), ("HEAD", "/metrics"), ("GET", "/x")]
    ready, healthy, metrics, head, missing = await asyncio.to_thread(
        ask,
        port,
        *requests,
    )
    assert ready[:2] == (200, b"ready\n")
    assert healthy[:2] == (200, b"ok\n")
    assert metrics[1].startswith(b"# HELP")
    assert metrics[2]["Content-Type"].startswith("text/plain; version=")
    assert head[0] == 200
    assert head[1] == b""
    assert int(head[2]["Content-Length"]) > 1000
    assert missing[0] == 404
    ((refused, _, fields),) = await asyncio.to_thread(ask, port, ("DELETE", "/metrics"))
    assert refused == 405
    assert fields["Allow"] == "GET, HEAD"


async def test_readiness_names_the_fault(served: tuple[int, Health]) -> None:
    port, health = served
    health.has_keys = True
    health.listeners_wanted = {"imap 0.0.0.0:10143"}
    health.bucket_seen(False, "TimeoutError")
    ((status, body, _),) = await asyncio.to_thread(ask, port, ("GET", "/readyz"))
    assert (status, body) == (503, b"listener imap 0.0.0.0:10143 is not open\n")
    health.listeners_open = health.listeners_wanted
    ((status, _, _), (_, verbose, _)) = await asyncio.to_thread(
        ask, port, ("GET", "/readyz"), ("GET", "/healthz?verbose")
    )
    assert status == 200
    assert b"bucket: down" in verbose
