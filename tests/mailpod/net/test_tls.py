"""Certificates by name, and renewed while connections are served."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from cryptography import x509
from tests.mailpod.net.test_wire import Echo
from tests.mailpod.support import bare_services, client_context, make_certificate

from mailpod.config import ListenerSettings
from mailpod.net.listener import listen, port_of
from mailpod.net.tls import TlsContexts


async def name_served(port: int, ask_for: str | None) -> str:
    context = client_context()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=ask_for or "")
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    await reader.readline()
    writer.close()
    return str(certificate.subject.rdns[0].rfc4514_string())


async def test_certificate_is_chosen_by_name_and_renewed_in_place(tmp_path: Path) -> None:
    first = make_certificate(tmp_path / "a", "a.example", "www.a.example")
    second = make_certificate(tmp_path / "b", "b.example", "*.b.example")
    contexts = TlsContexts([first, second])
    services = bare_services(contexts)
    listener = ListenerSettings(protocol="imap", host="127.0.0.1", port=0, tls="implicit")
    server = await listen(listener, lambda: Echo(services, implicit_tls=True), services)
    port = port_of(server)
    assert await name_served(port, "a.example") == "CN=a.example"
    assert await name_served(port, "B.example") == "CN=b.example"
    assert await name_served(port, "x.b.example") == "CN=b.example"
    assert await name_served(port, "x.y.b.example") == "CN=a.example"
    assert await name_served(port, "elsewhere.example") == "CN=a.example"
    assert await name_served(port, None) == "CN=a.example"

    make_certificate(tmp_path / "a", "renewed.example")
    contexts.reload()
    assert await name_served(port, None) == "CN=renewed.example"
    first[0].write_text("half a certif")
    contexts.reload()
    assert await name_served(port, "nobody.example") == "CN=renewed.example"
    first[1].unlink()
    contexts.reload()
    assert await name_served(port, "b.example") == "CN=b.example"
    server.close()
    services.connections.abort()
    await asyncio.sleep(0.01)


def test_without_certificates_nothing_is_offered() -> None:
    assert not TlsContexts([]).available
