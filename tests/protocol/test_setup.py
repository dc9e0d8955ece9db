"""A mail client's set-up by HTTPS, as the clients do it: found settings are tried on the ports that they name."""

from __future__ import annotations

import http.client
import imaplib
import plistlib
import smtplib
import ssl
import subprocess
from pathlib import Path
from xml.etree import ElementTree as xml

from tests.harness import manifest
from tests.harness.need import need
from tests.harness.server import Mailpod


def get(server: Mailpod, host: str, path: str) -> tuple[int, bytes]:
    """GET by HTTPS of a name, which the certificate must have."""
    context = ssl.create_default_context(cafile=str(server.target().ca))
    connection = http.client.HTTPSConnection("127.0.0.1", server.offset + 443, timeout=20, context=context)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_thunderbird_finds_its_settings(mailpod: Mailpod) -> None:
    account = mailpod.accounts[0]
    path = f"/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress={account.address}"
    status, content = get(mailpod, manifest.DOMAIN, path)
    provider = xml.fromstring(content).find("emailProvider")
    assert status == 200 and provider is not None
    assert provider.findtext("domain") == manifest.DOMAIN

    context = ssl.create_default_context(cafile=str(mailpod.target().ca))
    incoming, outgoing = provider.find("incomingServer"), provider.find("outgoingServer")
    assert incoming is not None and outgoing is not None
    assert (incoming.get("type"), incoming.findtext("socketType")) == ("imap", "SSL")
    assert incoming.findtext("hostname") == outgoing.findtext("hostname") == manifest.HOSTNAME
    user = (incoming.findtext("username") or "").replace("%EMAILADDRESS%", account.address)
    with imaplib.IMAP4_SSL("127.0.0.1", int(incoming.findtext("port") or 0), ssl_context=context) as imap:
        assert imap.login(user, account.password)[0] == "OK"
    with smtplib.SMTP_SSL("127.0.0.1", int(outgoing.findtext("port") or 0), context=context) as smtp:
        assert smtp.login(user, account.password)[0] == 235


def asked_by_thunderbird(domain: str, address: str, exchanger: str) -> list[tuple[str, str]]:
    """Host and path of what it asks a provider for, in its order: by the domain, then by the MX."""
    query = f"?emailaddress={address}"
    beyond = exchanger.partition(".")[2]  # the domain that the MX's host is in
    return [
        (f"autoconfig.{domain}", f"/mail/config-v1.1.xml{query}"),
        (domain, f"/.well-known/autoconfig/mail/config-v1.1.xml{query}"),
        (f"autoconfig.{beyond}", f"/mail/config-v1.1.xml{query}"),
        (beyond, f"/.well-known/autoconfig/mail/config-v1.1.xml{query}"),
    ]


def test_every_place_where_thunderbird_looks_says_the_same(mailpod: Mailpod) -> None:
    address = mailpod.accounts[0].address
    asked = asked_by_thunderbird(manifest.DOMAIN, address, manifest.HOSTNAME)
    [found] = {get(mailpod, host, path) for host, path in asked}
    assert found[0] == 200 and b"<clientConfig" in found[1]
    assert {get(mailpod, "autoconfig.elsewhere.test", path)[0] for _, path in asked} == {404}


def test_the_profile_is_signed_and_valid(mailpod: Mailpod, tmp_path: Path) -> None:
    account = mailpod.accounts[0]
    status, content = get(mailpod, manifest.HOSTNAME, f"/mailpod.mobileconfig?address={account.address}")
    assert status == 200
    file, plain = tmp_path / "mail.mobileconfig", tmp_path / "plain"
    file.write_bytes(content)
    trusted = str(mailpod.target().ca)
    verify = [need("openssl"), "cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", trusted, "-purpose", "any"]
    done = subprocess.run([*verify, "-out", plain], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [payload] = plistlib.loads(plain.read_bytes())["PayloadContent"]
    assert payload["EmailAddress"] == account.address
    assert payload["IncomingMailServerPortNumber"] == mailpod.offset + 993


def test_on_one_machine_the_page_names_what_was_asked(mailpod: Mailpod) -> None:
    status, content = get(mailpod, f"127.0.0.1:{mailpod.offset + 443}", "/")
    assert status == 200
    assert b"<code>127.0.0.1</code>" in content and f"<code>{mailpod.offset + 993}</code>".encode() in content
    assert get(mailpod, "elsewhere.test", "/")[0] == 404
