"""Mail that leaves is signed: a Postfix with opendkim as its milter takes it by the domain's keys, and nothing else.

What it refuses comes back to the sender, whose other recipients have the message.
"""

from __future__ import annotations

import re
import smtplib
import subprocess
import textwrap
from collections.abc import Iterator
from functools import partial

import pytest
from benchmarks.peers import answers
from tests.harness import processes
from tests.harness.clients import letter, wait_arrived
from tests.harness.need import need
from tests.harness.ports import free_port
from tests.harness.postfix import Postfix
from tests.harness.server import Mailpod
from tests.protocol.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def ours(world: World) -> Mailpod:
    return world.mailpod("one.test")


@pytest.fixture(scope="module")
def milter(world: World, ours: Mailpod) -> Iterator[int]:
    """The port of an opendkim that refuses what has no good signature by the keys that are to be in the DNS."""
    port = free_port()
    records = (ours.data / ".local" / "dkim-records").read_text()
    keys, config = world.home / "keys", world.home / "opendkim.conf"
    keys.write_text(re.sub(r'^(\S+) TXT "(.*)"$', r"\1 \2", records, flags=re.MULTILINE))
    config.write_text(
        textwrap.dedent(
            f"""\
            Mode v
            Socket inet:{port}@127.0.0.1
            PidFile {world.home}/opendkim.pid
            TestPublicKeys {keys}
            On-BadSignature reject
            On-NoSignature reject
            PeerList 192.0.2.1
            InternalHosts 192.0.2.1
            Syslog no
            """
        )
    )
    process = subprocess.Popen([need("opendkim"), "-f", "-x", str(config)], start_new_session=True)
    processes.wait_until(partial(answers, port), 20, "opendkim listens")
    yield port
    processes.end(process)


@pytest.fixture(scope="module")
def theirs(world: World, milter: int) -> Postfix:
    settings = {"smtpd_milters": f"inet:127.0.0.1:{milter}", "milter_default_action": "tempfail"}
    return world.postfix("two.test", settings=settings)


def test_what_a_user_sends_has_two_good_signatures(ours: Mailpod, theirs: Postfix) -> None:
    ann = ours.accounts[0]
    word, message = letter(sender=ann.address)
    target = ours.target()
    with smtplib.SMTP(target.host, target.port("submission"), source_address=(target.host, 0), timeout=30) as client:
        client.login(ann.address, ann.password)
        client.sendmail(ann.address, ["bob@two.test", "nobody@two.test"], message)
    (found,) = theirs.wait_arrived("bob")
    assert word.encode() in found and found.count(b"\nDKIM-Signature: v=1;") == 2
    results = re.findall(rb"dkim=(\w+)", found.partition(b"\n\n")[0])
    assert results and set(results) == {b"pass"}, found
    (notice,) = wait_arrived(target, ann, 1)
    assert b"nobody@two.test\r\n    There is no such address.\r\n" in notice
    assert b"bob@two.test" not in notice


def test_what_was_changed_or_never_signed_is_refused(theirs: Postfix) -> None:
    (found,) = theirs.arrived("bob")
    with smtplib.SMTP(theirs.address, 25, "mx.one.test", timeout=30) as client:
        for message in (found.replace(b"A line.", b"Another."), letter(sender="ann@one.test")[1]):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail("ann@one.test", ["bob@two.test"], message)
            assert refused.value.smtp_code == 550
