"""Mail that leaves, by the policy of where it goes: two Mailpods and a Postfix, each with a name in the DNS.

Postfix plays several domains, which differ in what their DNS says of it: its certificate is for mx.two.test alone.
"""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.harness.clients import letter, stored, wait_arrived
from tests.harness.postfix import Postfix
from tests.harness.processes import wait_until
from tests.harness.server import Mailpod
from tests.protocol.world import World, tlsa_record

ENFORCED = "version: STSv1\nmode: enforce\nmx: {}\nmax_age: 86400\n"
DANE = {"smtp_tls_security_level": "dane", "smtp_dns_support_level": "dnssec"}
DOMAINS = ("strict.test", "bad.test", "testing.test", "dane.test", "wrong.test", "bogus.test", "unnamed.test")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def ours(world: World) -> Mailpod:
    server = world.mailpod("one.test", signed=True, outbound={"dane": "Enabled"})
    certificate = Path(server.data / ".local" / "tls.crt")
    world.add_records("one.test", f"_25._tcp.mx TLSA {tlsa_record('3 1 1', certificate)}")
    return server


@pytest.fixture(scope="module")
def theirs(world: World) -> Postfix:
    pair = world.certificate("mx.two.test")
    server = world.postfix("two.test", certificate=pair, also=DOMAINS, settings=DANE)
    there = f"mx A {server.address}"
    world.zone("strict.test", "@ MX 10 mx.two.test.")
    world.policy("strict.test", ENFORCED.format("mx.two.test"))
    world.zone("bad.test", "@ MX 10 mx", there)
    world.policy("bad.test", ENFORCED.format("mx.bad.test"))
    world.zone("testing.test", "@ MX 10 mx", there)
    world.policy("testing.test", ENFORCED.format("mx.testing.test").replace("enforce", "testing"))
    right = tlsa_record("3 1 1", pair.certificate)
    world.zone("dane.test", "@ MX 10 mx", there, f"_25._tcp.mx TLSA {right}", signed=True)
    world.zone("wrong.test", "@ MX 10 mx", there, f"_25._tcp.mx TLSA 3 1 1 {'00' * 32}", signed=True)
    forged = [f"_25._tcp.mx TLSA {right}"]  # in place of what was signed
    world.zone("bogus.test", "@ MX 10 mx", there, f"_25._tcp.mx TLSA 3 1 1 {'00' * 32}", signed=True, forged=forged)
    return server


def send(
    server: Mailpod, recipients: Sequence[str], options: Sequence[str] = (), of_recipient: Sequence[str] = ()
) -> str:
    """The first user submits a letter; the word that it has."""
    account = server.accounts[0]
    word, message = letter(sender=account.address)
    target = server.target()
    with smtplib.SMTP(target.host, target.port("submission"), source_address=(target.host, 0), timeout=30) as client:
        if options:
            client._host = target.hostname  # type: ignore[attr-defined]  # the name that starttls checks
            client.starttls(context=target.tls())
        client.login(account.address, account.password)
        extra = {"mail_options": list(options), "rcpt_options": list(of_recipient)}
        client.sendmail(account.address, list(recipients), message, **extra)
    return word


def tls(server: Mailpod, policy: str, outcome: str) -> float:
    """How many connections ended so."""
    label = rf'mailpod_outbound_tls_total{{outcome="{outcome}",policy="{policy}"}} (\S+)'
    found = re.search(label, server.http(0, "/metrics")[1])
    return float(found[1]) if found else 0.0


def wait_tls(server: Mailpod, policy: str, outcome: str) -> None:
    wait_until(lambda: tls(server, policy, outcome), 30, f"a connection under {policy} that ends with {outcome}")


def arrived(server: Postfix, word: str) -> bool:
    return any(word.encode() in message for message in server.arrived("bob"))


def wait_there(server: Postfix, word: str) -> None:
    wait_until(lambda: arrived(server, word), 30, "the letter arrives")


def test_mail_goes_both_ways(ours: Mailpod, theirs: Postfix) -> None:
    word = send(ours, ["bob@two.test"])
    wait_there(theirs, word)
    wait_tls(ours, "none", "ok")
    assert b"with ESMTPS id" in theirs.arrived("bob")[-1]
    back, message = letter(sender="bob@two.test")
    theirs.send("bob@two.test", [ours.accounts[0].address], message)
    (found,) = wait_arrived(ours.target(), ours.accounts[0], 1)
    assert back.encode() in found
    theirs.wait_log("Verified TLS connection established to mx.one.test")  # by DANE


def next_notice(server: Mailpod, before: int) -> bytes:
    return wait_arrived(server.target(), server.accounts[0], before + 1)[-1]


def inbox(server: Mailpod) -> int:
    return len(stored(server.target(), server.accounts[0]))


def test_notices_of_success_and_failure(ours: Mailpod, theirs: Postfix) -> None:
    """Success is Postfix's to tell, since it offers DSN; that there is nobody of the name is ours."""
    before = inbox(ours)
    send(ours, ["bob@two.test"], of_recipient=["NOTIFY=SUCCESS"])
    notice = next_notice(ours, before)
    assert b"Action: delivered" in notice and b"mx.two.test" in notice
    send(ours, ["nobody@two.test"])
    notice = next_notice(ours, before + 1)
    assert b"Action: failed" in notice and b"Status: 5.1.1" in notice and b"nobody@two.test" in notice
    theirs.send("bob@two.test", ["nobody@one.test"], letter(sender="bob@two.test")[1])
    wait_until(lambda: any(b"nobody@one.test" in message for message in theirs.arrived("bob")), 30, "Postfix tells bob")


def test_mta_sts_that_is_kept(ours: Mailpod, theirs: Postfix) -> None:
    wait_there(theirs, send(ours, ["bob@strict.test"]))
    wait_tls(ours, "sts", "ok")


def test_mta_sts_refuses_a_bad_certificate(ours: Mailpod, theirs: Postfix) -> None:
    word = send(ours, ["bob@bad.test"])
    wait_tls(ours, "sts", "certificate-host-mismatch")
    wait_until(lambda: "the certificate is not for mx.bad.test" in ours.log_tail(), 10, "the log says why")
    assert not arrived(theirs, word)


def test_mta_sts_in_testing_lets_it_pass(ours: Mailpod, theirs: Postfix) -> None:
    before = tls(ours, "sts", "certificate-host-mismatch")
    wait_there(theirs, send(ours, ["bob@testing.test"]))
    assert tls(ours, "sts", "certificate-host-mismatch") == before + 1


def test_dane_that_is_kept_whatever_the_name_in_the_certificate(ours: Mailpod, theirs: Postfix) -> None:
    wait_there(theirs, send(ours, ["bob@dane.test"]))
    wait_tls(ours, "dane", "ok")


def test_dane_refuses_a_key_that_no_record_has(ours: Mailpod, theirs: Postfix) -> None:
    word = send(ours, ["bob@wrong.test"])
    wait_tls(ours, "dane", "validation-failure")
    assert not arrived(theirs, word)


def test_a_bogus_tlsa_record_puts_delivery_off(ours: Mailpod, theirs: Postfix) -> None:
    """RFC 7672 §2.1.2: though it is the right one."""
    word = send(ours, ["bob@bogus.test"])
    wait_until(lambda: '"destination": "bogus.test"' in ours.log_tail(), 30, "it was tried")
    (line,) = [line for line in ours.log_tail().splitlines() if '"destination": "bogus.test"' in line]
    assert '"relay.delayed"' in line and '"4.7.5"' in line
    assert not arrived(theirs, word)


def test_a_null_mx_comes_back_at_once(world: World, ours: Mailpod) -> None:
    """RFC 7505."""
    world.zone("null.test", "@ MX 0 .")
    before = inbox(ours)
    send(ours, ["bob@null.test"])
    notice = next_notice(ours, before)
    assert b"bob@null.test" in notice and b"5.1.10" in notice


def test_a_smarthost_takes_what_no_dns_knows(world: World, theirs: Postfix) -> None:
    smarthost = {"host": "mx.two.test", "port": 25}
    relayed = world.mailpod("four.test", outbound={"smarthost": smarthost})
    wait_there(theirs, send(relayed, ["bob@unnamed.test"]))
    assert tls(relayed, "fixed", "ok") == 1


def test_two_mailpods_requiretls_and_what_is_counted_for_reports(world: World, ours: Mailpod, theirs: Postfix) -> None:
    """RFC 8689: the other's names are signed, and its TLSA record is right; a Postfix does not offer it."""
    other = world.mailpod("three.test", signed=True)
    certificate = Path(other.data / ".local" / "tls.crt")
    world.add_records("three.test", f"_25._tcp.mx TLSA {tlsa_record('3 1 1', certificate)}")
    word = send(ours, ["ann@three.test"], ["REQUIRETLS"])
    (found,) = wait_arrived(other.target(), other.accounts[0], 1)
    assert word.encode() in found
    before = inbox(ours)
    send(ours, ["bob@dane.test"], ["REQUIRETLS"])
    notice = next_notice(ours, before)
    assert b"REQUIRETLS" in notice
    wait_there(theirs, send(other, ["bob@strict.test"]))
    other.stop()  # what it counted lies in the bucket then
    (count,) = other.data.glob("tlsreports/*/count-*")
    (seen,) = json.loads(count.read_bytes())
    assert (seen["domain"], seen["type"], seen["ok"]) == ("strict.test", "sts", 1)
