"""What the web port answers, over a socket, with a directory of two domains."""

from __future__ import annotations

import asyncio
import plistlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast
from xml.etree import ElementTree as xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.support import bare_services

from mailpod.config import WebSettings
from mailpod.directory import DomainEntry
from mailpod.errors import Unavailable
from mailpod.http import autodiscover
from mailpod.http.web import WebSession

ENTRIES = [
    DomainEntry(name="example.org", hostname="mail.example.org", max_message_bytes=1, mta_sts="enforce"),
    DomainEntry(name="guest.net", hostname="mail.example.org", max_message_bytes=1),
]


class Domains:
    """A directory of domains alone; `away`: the bucket does not answer."""

    away = False

    async def domain(self, name: str) -> DomainEntry | None:
        if self.away:
            raise Unavailable
        return next((entry for entry in ENTRIES if entry.name == name), None)


class Port:
    """The web port, in the clear: TLS is the listener's."""

    def __init__(self, number: int, domains: Domains) -> None:
        self.number, self.domains = number, domains

    async def ask(self, head: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        answer, _, content = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
        writer.close()
        status, *fields = answer.decode().split("\r\n")
        return int(status.split()[1]), dict(field.split(": ", 1) for field in fields), content

    async def get(self, host: str, path: str) -> tuple[int, bytes]:
        status, _, content = await self.ask(f"GET {path} HTTP/1.1\nHost: {host}")
        return status, content


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    domains = Domains()
    services = replace(bare_services(web=WebSettings(body_bytes=1000)), directory=cast(Any, domains))
    services.settings = services.settings.model_copy(update={"hostname": "mail.example.org"})
    server = await asyncio.get_running_loop().create_server(lambda: WebSession(services), "127.0.0.1", 0)
    yield Port(server.sockets[0].getsockname()[1], domains)
    server.close()


@pytest.mark.parametrize(
    "host",
    ["example.org", "mail.example.org", "autoconfig.example.org", "autodiscover.example.org", "MAIL.example.org:443"],
)
async def test_a_domains_names_are_answered(port: Port, host: str) -> None:
    status, content = await port.get(host, "/")
    assert (status, b"<h1>Mail for example.org</h1>" in content) == (200, True)


@pytest.mark.parametrize("host", ["example.com", "other.example.org", "127.0.0.1", "localhost", "[::1]", "org", "x"])
async def test_any_other_is_not_found(port: Port, host: str) -> None:
    for path in ("/", "/mail/config-v1.1.xml", "/mailpod.mobileconfig"):
        assert await port.get(host, path) == (404, b"not found\n")


async def test_autoconfig_is_for_the_addresss_domain_at_a_shared_host(port: Port) -> None:
    path = "/.well-known/autoconfig/mail/config-v1.1.xml"
    for query, domain in (("", "example.org"), ("?emailaddress=ann%40guest.net", "guest.net")):
        status, content = await port.get("mail.example.org", path + query)
        provider = xml.fromstring(content).find("emailProvider")
        assert status == 200 and provider is not None
        assert provider.get("id") == domain
        incoming = [server.findtext("port") for server in provider.findall("incomingServer")]
        assert incoming == ["993", "143", "995", "110"]
        assert {server.findtext("hostname") for server in provider.findall("outgoingServer")} == {"mail.example.org"}


async def test_autodiscover_answers_who_asks_for_an_address_here(port: Port) -> None:
    def request(address: str) -> tuple[str, bytes]:
        body = f"<Autodiscover><Request><EMailAddress>{address}</EMailAddress></Request></Autodiscover>".encode()
        head = f"POST /Autodiscover/Autodiscover.xml HTTP/1.1\nHost: example.org\nContent-Length: {len(body)}"
        return head, body

    status, _, content = await port.ask(*request("Ann@example.org"))
    assert status == 200
    space = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
    found = {
        protocol.findtext(f"{space}Type"): (protocol.findtext(f"{space}Port"), protocol.findtext(f"{space}LoginName"))
        for protocol in xml.fromstring(content).iter(f"{space}Protocol")
    }
    login = "ann@example.org"
    assert found == {"IMAP": ("993", login), "POP3": ("995", login), "SMTP": ("465", login)}
    assert (await port.ask(*request("ann@example.com")))[0] == 400
    assert (await port.get("example.org", autodiscover.PATH))[0] == 405


async def test_a_profile_without_a_certificate_is_plain(port: Port) -> None:
    _, content = await port.get("example.org", "/mailpod.mobileconfig?address=ann%2Btag@example.org")
    profile = plistlib.loads(content)
    [account] = profile["PayloadContent"]
    assert account["EmailAddress"] == account["IncomingMailServerUsername"] == "ann+tag@example.org"
    assert (account["IncomingMailServerPortNumber"], account["OutgoingMailServerPortNumber"]) == (993, 465)
    assert account["IncomingMailServerUseSSL"] and "IncomingPassword" not in account
    _, again = await port.get("example.org", "/mailpod.mobileconfig?address=ann%2Btag@example.org")
    assert again == content  # installed twice it is one account


async def test_the_page_takes_nothing_from_elsewhere_and_shows_no_strange_text(port: Port) -> None:
    head = "GET /?address=%22%3E%3Cscript%3E@example.org&address=x HTTP/1.1\nHost: example.org"
    status, fields, content = await port.ask(head)
    assert status == 200
    assert fields["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in fields["Content-Security-Policy"]
    for word in (b"src=", b"<link", b"@import", b"url(", b'"><script>', b"style="):
        assert word not in content
    assert b'value="ann@example.org"' in (await port.get("example.org", "/?address=ANN@example.org"))[1]
    assert b"example.com" not in (await port.get("example.org", "/?address=ann@example.com"))[1]


async def test_the_mta_sts_policy_is_at_its_name_alone(port: Port) -> None:
    path = "/.well-known/mta-sts.txt"
    policy = b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.org\r\nmax_age: 604800\r\n"
    assert await port.get("mta-sts.example.org", path) == (200, policy)
    assert (await port.get("example.org", path))[0] == 404
    assert (await port.get("mta-sts.guest.net", path))[0] == 404


async def test_bodies_are_bounded(port: Port) -> None:
    head = f"POST {autodiscover.PATH} HTTP/1.1\nHost: example.org\n"
    assert (await port.ask(head + "Content-Length: 1001"))[0] == 413
    assert (await port.ask(head + "Transfer-Encoding: chunked", b"0\r\n\r\n"))[0] == 411
    assert (await port.ask(head + "Content-Length: -5"))[0] == 411
    assert (await port.ask("DELETE / HTTP/1.1\nHost: example.org"))[0] == 405
    assert (await port.ask("GET / HTTP/1.1"))[0] == 400


async def test_head_has_no_body_and_the_bucket_away_is_told(port: Port) -> None:
    status, fields, content = await port.ask("HEAD / HTTP/1.1\nHost: example.org")
    assert (status, content) == (200, b"") and int(fields["Content-Length"]) > 1000
    port.domains.away = True
    assert (await port.get("example.org", "/"))[0] == 503


@given(st.binary(), st.text(alphabet="ab@.+<>&\n ", max_size=30), st.binary())
def test_an_address_is_found_in_any_bytes_or_none_is(before: bytes, address: str, after: bytes) -> None:
    found = autodiscover.address_in(before + f"<EMailAddress>{address}</EMailAddress>".encode() + after)
    assert not set(found) & set("<>&\n ")
