"""Forwarded mail between real servers: an author whose DNS has `-all` and `p=reject`, a Mailpod that forwards, and one
that enforces DMARC for two domains, of which one believes the forwarder's seals.

The author's Postfix also plays a domain that takes everything and sends a notice later.
"""

from __future__ import annotations

import base64
import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass

import dkim
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.harness.clients import letter, wait_arrived
from tests.harness.manifest import mail_domain, mailbox
from tests.harness.postfix import Postfix
from tests.harness.processes import wait_until
from tests.harness.server import Mailpod
from tests.harness.target import Account
from tests.protocol.world import World, password

pytestmark = pytest.mark.slow

JOE = "joe@author.test"
EVE = Account("eve@three.test", password("eve"))
KEY = rsa.generate_private_key(65537, 2048)
FORWARDS = {
    "ann": "bob@two.test",
    "dan": "eve@three.test",
    "gone": "nobody@two.test",
    "late": "nobody@late.test",
}


@dataclass(frozen=True)
class Servers:
    author: Postfix
    forwarder: Mailpod
    enforcing: Mailpod


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with World(tmp_path_factory.mktemp("world")) as world:
        taking = {"smtpd_reject_unlisted_recipient": "no"}
        author = world.postfix("author.test", users=["joe"], also=["late.test"], settings=taking)
        world.zone("late.test", "@ MX 10 mx.author.test.")
        raw = base64.b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
        key = f"sel._domainkey TXT {text(f'v=DKIM1; p={raw}')}"
        helo = 'mx TXT "v=spf1 a -all"'  # RFC 7208 §10.1.3: for notices, which have no other sender
        publish(world, "author.test", author.address, key, helo)
        to = {user: {"forwarding": {"to": [target], "keepCopy": "Disabled"}} for user, target in FORWARDS.items()}
        forwarder = world.mailpod("one.test", users=[*FORWARDS], mailboxes=to, forwardingPolicy="Any")
        records = (forwarder.data / ".local" / "dkim-records").read_text()
        keys = re.findall(r'^(\S+)\.one\.test TXT "(.*)"$', records, re.MULTILINE)
        publish(world, "one.test", "127.0.0.1", *(f"{name} TXT {text(key)}" for name, key in keys))
        enforcing = world.mailpod("two.test", users=["bob"], trustedSealers=["one.test"])
        serve_another(world, enforcing)
        checking = {"unchecked_networks": []}  # all clients are of this machine
        gone = {server: server.reconfigure(authres=checking) for server in (forwarder, enforcing)}
        for server, pod in gone.items():
            server.wait_restarted(pod)
        yield Servers(author, forwarder, enforcing)


def serve_another(world: World, server: Mailpod) -> None:
    """three.test, which believes nobody."""
    world.zone("three.test", "@ MX 10 mx.two.test.")
    server.accounts.append(EVE)
    more = [mail_domain("three.test", server.hostname), *mailbox(EVE)]
    whole = server.manifest.with_suffix(".new")
    whole.write_text(server.manifest.read_text() + "---\n" + yaml.safe_dump_all(more))
    whole.replace(server.manifest)

    def served() -> bool:
        with smtplib.SMTP(server.host, 25, "mx.author.test", timeout=30) as client:
            client.ehlo()
            client.mail("")
            return client.rcpt(EVE.address)[0] == 250

    wait_until(served, 30, "three.test is served")


def publish(world: World, domain: str, address: str, *records: str) -> None:
    policies = (f'@ TXT "v=spf1 ip4:{address} -all"', '_dmarc TXT "v=DMARC1; p=reject"')
    world.add_records(domain, *policies, *records)


def text(value: str) -> str:
    """A TXT record's strings."""
    return " ".join(f'"{value[at : at + 200]}"' for at in range(0, len(value), 200))


def write(servers: Servers, user: str, *, signed: bool = True) -> str:
    """Joe writes to somebody at one.test; the word that the letter has."""
    word, message = letter(sender=JOE)
    if signed:
        key = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        message = dkim.sign(message, b"sel", b"author.test", key, include_headers=[b"from", b"subject"]) + message
    servers.author.send(JOE, [f"{user}@one.test"], message)
    return word


def arrived(server: Mailpod, account: Account, word: str) -> str:
    """The header of the only letter that arrived."""
    (message,) = wait_arrived(server.target(), account, 1)
    assert word.encode() in message
    return message.partition(b"\r\n\r\n")[0].decode()


def notice_to_joe(servers: Servers, word: str) -> str:
    def found() -> list[bytes]:
        return [message for message in servers.author.arrived("joe") if word.encode() in message]

    wait_until(lambda: bool(found()), 30, "Joe is told")
    (notice,) = found()
    return notice.decode()


def test_it_is_accepted_by_a_server_that_enforces_dmarc(servers: Servers) -> None:
    header = arrived(servers.enforcing, EVE, write(servers, "dan"))
    assert re.search(r"^Return-Path: <SRS0=\w{8}=\w\w=author\.test=joe@one\.test>\r$", header, re.MULTILINE)
    ours = header[header.index("Authentication-Results: mx.two.test;") :].partition("\r\nReceived:")[0]
    for result in ("spf=pass smtp.mailfrom=one.test", "dmarc=pass header.from=author.test", "arc=pass"):
        assert result in ours, ours
    assert "dkim=pass header.d=author.test" in ours


def test_what_only_the_forwarder_could_check_is_accepted_by_who_believes_it(servers: Servers) -> None:
    """SPF alone spoke for it, which ends at the first hop."""
    header = arrived(servers.enforcing, servers.enforcing.accounts[0], write(servers, "ann", signed=False))
    assert "ARC-Authentication-Results: i=1; mx.one.test;" in header
    assert "dmarc=fail (p=reject arc=pass) header.from=author.test;\r\n\tarc=pass smtp.remote-ip=127.0.0.1" in header


def test_and_refused_by_who_does_not_of_which_the_author_is_told(servers: Servers) -> None:
    notice = notice_to_joe(servers, write(servers, "dan", signed=False))
    assert "Status: 5.7.1" in notice and "whose DMARC policy refuses such" in notice
    assert "Return-Path: <>" in notice and "From: Mail Delivery System <postmaster@one.test>" in notice


def test_a_refusal_is_told_to_the_author(servers: Servers) -> None:
    notice = notice_to_joe(servers, write(servers, "gone"))
    assert "Status: 5.1.1" in notice and "Original-Recipient: rfc822; gone@one.test" in notice


def test_a_later_notice_finds_its_way_back(servers: Servers) -> None:
    """From the third server to the rewritten sender, and on by the forwarder."""
    notice = notice_to_joe(servers, write(servers, "late"))
    assert "MAILER-DAEMON" in notice and "nobody@late.test" in notice
    assert re.search(r"^To: SRS0=\w{8}=\w\w=author\.test=joe@one\.test$", notice, re.MULTILINE)
    assert "by mx.one.test with ESMTP" in notice.partition("\n\n")[0]


def test_nobody_else_gets_anything_back_by_it(servers: Servers) -> None:
    with smtplib.SMTP(servers.forwarder.host, 25, "mx.author.test", timeout=30) as client:
        client.ehlo()
        client.mail("")
        assert client.rcpt("SRS0=abcdefgh=ab=victim.test=eve@one.test")[0] == 550
