"""Mail that leaves to Postfixes that want something first: that it comes again (greylisting), or that we log in."""

from __future__ import annotations

import shutil
import socketserver
import subprocess
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.harness import processes
from tests.harness.clients import letter, stored, wait_arrived
from tests.harness.need import need
from tests.harness.pods import Pods
from tests.harness.postfix import Postfix
from tests.harness.smtp import Smtp
from tests.harness.target import Account
from tests.protocol.world import World

pytestmark = pytest.mark.slow

USER = Account("ann@one.test", "open sesame")
SOON = {"retry_first": 1.0, "retry_longest": 1.0, "backoff_first": 1.0, "backoff_longest": 1.0}
LOGIN = ("relay", "a secret of two")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


class Greylist(socketserver.ThreadingTCPServer):
    """Postfix's policy protocol (SMTPD_POLICY_README): a sender and recipient are put off the first `times`."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, times: int) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.times = times
        self.asked: dict[tuple[str, str], int] = {}

    def answer(self, request: dict[str, str]) -> str:
        pair = request["sender"], request["recipient"]
        self.asked[pair] = self.asked.get(pair, 0) + 1
        return "defer_if_permit 4.2.0 Greylisted, come again" if self.asked[pair] <= self.times else "dunno"


class _Asked(socketserver.StreamRequestHandler):
    server: Greylist

    def handle(self) -> None:
        request: dict[str, str] = {}
        for line in self.rfile:
            name, _, value = line.decode().rstrip("\n").partition("=")
            if name:
                request[name] = value
            else:
                self.wfile.write(f"action={self.server.answer(request)}\n\n".encode())
                request = {}


@contextmanager
def greylisting(times: int) -> Iterator[Greylist]:
    with Greylist(times) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def pod(world: World, home: Path, monkeypatch: pytest.MonkeyPatch, **outbound: Any) -> Iterator[Pods]:
    monkeypatch.setenv("SSL_CERT_FILE", str(world.ca))
    settings = {"dns": {"resolver": world.names.resolver}, "outbound": SOON | outbound}
    with Pods(home, [USER], "mx.one.test", **settings) as pods:
        yield pods


def send(pods: Pods, recipient: str) -> str:
    """The word that the letter has."""
    word, message = letter(sender=USER.address)
    client = Smtp(pods.target(), "submission")
    client.login(USER)
    assert client.deliver(USER.address, [recipient], message).code == 250
    client.close()
    return word


def greylisted(world: World, domain: str, server: Greylist) -> Postfix:
    policy = f"reject_unauth_destination, check_policy_service inet:127.0.0.1:{server.server_address[1]}"
    return world.postfix(domain, settings={"smtpd_recipient_restrictions": policy})


def test_a_greylisting_server_has_it_at_the_second_try(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with greylisting(1) as greylist, pod(world, tmp_path, monkeypatch) as pods:
        theirs = greylisted(world, "grey.test", greylist)
        word = send(pods, "bob@grey.test")
        (found,) = theirs.wait_arrived("bob")
        assert word.encode() in found
        assert greylist.asked == {(USER.address, "bob@grey.test"): 2}
        assert stored(pods.target(), USER) == []


def test_one_that_never_takes_it_is_told_with_its_last_words(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with greylisting(1000) as greylist, pod(world, tmp_path, monkeypatch, expiry=2.5) as pods:
        greylisted(world, "never.test", greylist)
        send(pods, "bob@never.test")
        (notice,) = wait_arrived(pods.target(), USER, 1)
        assert b"\r\nAction: failed\r\nStatus: 4.4.7\r\nRemote-MTA: dns; mx.never.test\r\n" in notice
        assert b"Greylisted, come again" in notice
        assert greylist.asked[USER.address, "bob@never.test"] >= 2


@pytest.fixture
def logins() -> Iterator[Path]:
    """The socket of a Dovecot that knows LOGIN, for a Postfix to ask."""
    home = Path(tempfile.mkdtemp(prefix="mailpod-logins-"))  # not below pytest's, which are root's alone
    home.chmod(0o755)
    config = home / "dovecot.conf"
    config.write_text(
        textwrap.dedent(
            f"""\
            base_dir = {home}/run
            log_path = {home}/dovecot.log
            protocols =
            ssl = no
            auth_mechanisms = plain login
            auth_failure_delay = 0
            passdb {{
              driver = passwd-file
              args = {home}/users
            }}
            service auth {{
              unix_listener auth {{
                mode = 0666
              }}
            }}
            """
        )
    )
    (home / "users").write_text(f"{LOGIN[0]}:{{PLAIN}}{LOGIN[1]}::::::\n")
    (home / "users").chmod(0o644)
    process = subprocess.Popen([need("dovecot"), "-F", "-c", str(config)], start_new_session=True)
    processes.wait_until((home / "run" / "auth").exists, 20, "Dovecot listens")
    yield home / "run" / "auth"
    processes.end(process)
    shutil.rmtree(home)


def test_a_smarthost_takes_it_from_who_logs_in(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logins: Path
) -> None:
    sasl = {
        "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": str(logins), "smtpd_sasl_auth_enable": "yes",
        "smtpd_tls_auth_only": "yes", "smtpd_error_sleep_time": "0",
        "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
    }  # fmt: skip
    theirs = world.postfix("two.test", also=["unnamed.test"], settings=sasl)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name, value in zip(("username", "password"), (LOGIN[0], "another"), strict=True):
        (credentials / name).write_text(value)
    smarthost = {"host": "mx.two.test", "port": 25, "credentials": str(credentials)}
    with pod(world, tmp_path / "home", monkeypatch, smarthost=smarthost) as pods:
        word = send(pods, "bob@unnamed.test")
        theirs.wait_log("SASL PLAIN authentication failed")
        assert theirs.arrived("bob") == []
        (credentials / "password").write_text(LOGIN[1])  # read at each connection: nothing was lost
        (found,) = theirs.wait_arrived("bob")
        assert word.encode() in found
        theirs.wait_log(f"sasl_method=PLAIN, sasl_username={LOGIN[0]}")
        assert stored(pods.target(), USER) == []
