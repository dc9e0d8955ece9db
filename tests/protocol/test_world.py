"""The tests' own small Internet: names, two kinds of servers, and mail that comes in from one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.clients import letter, wait_arrived
from tests.protocol.world import World, tlsa_record

DANE = {"smtp_tls_security_level": "dane", "smtp_dns_support_level": "dnssec"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


def test_postfix_finds_mailpod_by_its_mx_and_verifies_it_by_dane(world: World) -> None:
    ours = world.mailpod("one.test", signed=True)
    certificate = Path(ours.data / ".local" / "tls.crt")
    world.add_records("one.test", f"_25._tcp.mx TLSA {tlsa_record('3 1 1', certificate)}")
    theirs = world.postfix("two.test", settings=DANE)

    word, message = letter(sender="bob@two.test")
    theirs.send("bob@two.test", ["ann@one.test"], message)

    (found,) = wait_arrived(ours.target(), ours.accounts[0], 1)
    assert word.encode() in found
    assert "Verified TLS connection established to mx.one.test" in theirs.log
