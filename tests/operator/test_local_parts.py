"""The parts of local mode, each alone."""

import asyncio
import os
import socket
import ssl
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from tests.harness.ports import free_offset

from mailoperator.banner import User, banner
from mailoperator.certificate import is_good_for, self_signed
from mailoperator.follow import Follower
from mailoperator.localkeys import keep_keys
from mailoperator.localstate import LocalState, StateError
from mailoperator.manifests import ManifestError, Manifests, load
from mailoperator.passwords import Hasher, passwords
from mailoperator.pods import Pods
from mailoperator.ports import MAX_PODS, PortError, Ports
from mailoperator.references import check, smarthost_credentials
from mailpod.dkim.keys import SigningKeys

MAILBOXES = """\
apiVersion: mailpod.dev/v1alpha1
kind: Mailbox
metadata: {name: alice}
spec: {domainRef: {name: example}, passwordSecretRef: {name: secret}}
---
apiVersion: mailpod.dev/v1alpha1
kind: Mailbox
metadata: {name: bob}
spec: {domainRef: {name: example}, passwordSecretRef: {name: secret, key: verifier}}
---
apiVersion: mailpod.dev/v1alpha1
kind: Mailbox
metadata: {name: carol}
spec: {domainRef: {name: example}}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: wonderland, verifier: "$argon2id$v=19$bob"}
"""
ALICE, BOB, CAROL = (("default", name) for name in ("alice", "bob", "carol"))


@pytest.fixture
def found(tmp_path: Path) -> Manifests:
    (tmp_path / "mail.yaml").write_text(MAILBOXES)
    return load([tmp_path / "mail.yaml"])


# -- DIR/.local


def test_nobody_else_can_read_the_state(tmp_path: Path) -> None:
    state = LocalState(tmp_path / "data")
    state.signing_key()
    state.certificate(["localhost"])
    state.generated_passwords(["default/x"])
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.path.iterdir()} == {0o600}
    state.close()


def test_dkim_keys_are_made_once(tmp_path: Path) -> None:
    state = LocalState(tmp_path)
    keep_keys(state, ["example.com", "example.org"])
    before = {file: file.read_bytes() for file in (tmp_path / ".local" / "keys").rglob("*") if file.is_file()}
    assert len(before) == 6
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in before)
    records = (tmp_path / ".local" / "dkim-records").read_text()
    keep_keys(state, ["example.com", "example.org"])
    assert {file: file.read_bytes() for file in before} == before
    assert (tmp_path / ".local" / "dkim-records").read_text() == records
    for domain in ("example.com", "example.org"):
        keys = SigningKeys(tmp_path / ".local" / "keys").of(domain)
        assert [key.algorithm for key in keys] == ["rsa-sha256", "ed25519-sha256"]
        assert all(f'{key.selector}._domainkey.{domain} TXT "v=DKIM1; k=' in records for key in keys)
    state.close()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    first = LocalState(tmp_path)
    with pytest.raises(StateError, match="another mail-operator local is running on"):
        LocalState(tmp_path)
    first.close()
    LocalState(tmp_path).close()


def test_keys_and_generated_passwords_stay(tmp_path: Path) -> None:
    first = LocalState(tmp_path)
    key, made = first.signing_key(), first.generated_passwords(["default/a"])
    first.close()
    second = LocalState(tmp_path)
    assert second.signing_key() == key
    assert second.generated_passwords(["default/b"])["default/a"] == made["default/a"]
    second.close()


@pytest.mark.parametrize(("file", "use"), [("signing.key", "signing_key"), ("verifiers", "verifiers")])
def test_damaged_state_is_said_and_not_replaced(tmp_path: Path, file: str, use: str) -> None:
    state = LocalState(tmp_path)
    (state.path / file).write_text("not it")
    with pytest.raises(StateError, match=file):
        getattr(state, use)()
    assert (state.path / file).read_text() == "not it"
    state.close()


# -- passwords


async def test_verifiers(found: Manifests, tmp_path: Path) -> None:
    state = LocalState(tmp_path / "data")
    secrets = passwords(found, state)
    assert secrets[ALICE] == "wonderland"
    assert secrets[BOB] is None
    assert len(secrets[CAROL] or "") == 23
    made = await Hasher(state, b"k").verifiers(found, secrets)
    assert PasswordHasher().verify(made[ALICE], "wonderland")
    assert made[ALICE].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert made[BOB] == "$argon2id$v=19$bob"
    assert PasswordHasher().verify(made[CAROL], secrets[CAROL] or "")
    again = await Hasher(state, b"k").verifiers(found, passwords(found, state))
    assert again == made  # salts are random: the same hash was kept, not made again
    changed = await Hasher(state, b"k").verifiers(found, {**secrets, ALICE: "rabbit"})
    assert PasswordHasher().verify(changed[ALICE], "rabbit")
    assert changed[CAROL] == made[CAROL]
    assert "wonderland" not in (state.path / "verifiers").read_text()
    state.close()


# -- certificate


async def test_the_certificate_is_enough_to_trust_the_server(tmp_path: Path) -> None:
    state = LocalState(tmp_path)
    names = ["mail.example.com", "localhost", "127.0.0.1", "::1"]
    certificate, key = state.certificate(names)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    for name in names:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
        writer.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="other.example.com")
    server.close()
    before = certificate.read_bytes()
    state.certificate(names[:2])
    assert certificate.read_bytes() == before
    state.certificate([*names, "mx.example.org"])
    assert certificate.read_bytes() != before
    state.close()


def test_good_for() -> None:
    certificate, _ = self_signed(["a.example", "127.0.0.1"])
    assert is_good_for(certificate, ["127.0.0.1"])
    assert not is_good_for(certificate, ["b.example"])
    assert not is_good_for(b"rubbish", [])


# -- ports


def test_no_two_ports_meet() -> None:
    for pods in range(1, MAX_PODS + 1):
        ports = Ports("127.0.0.1", 10_000, pods).all()
        assert len(ports) == len(set(ports)) == (10 if pods == 1 else 9 + pods * 10)


def test_the_ports_of_the_contract() -> None:
    listeners = Ports("127.0.0.1").listeners(0)
    assert {listener.port: (listener.protocol, listener.role, listener.tls) for listener in listeners} == {
        10025: ("smtp", "mx", "starttls"),
        10587: ("smtp", "submission", "starttls"),
        10465: ("smtp", "submission", "implicit"),
        10024: ("lmtp", None, "starttls"),
        10143: ("imap", None, "starttls"),
        10993: ("imap", None, "implicit"),
        10110: ("pop3", None, "starttls"),
        10995: ("pop3", None, "implicit"),
        10443: ("https", None, "implicit"),
        18080: ("http", None, "none"),
    }
    assert not any(listener.reuse_port for listener in listeners)


def test_several_pods_share_and_have_their_own() -> None:
    listeners = Ports("127.0.0.1", 10_000, 2).listeners(1)
    assert {listener.port for listener in listeners if listener.reuse_port} == {
        10025, 10587, 10465, 10024, 10143, 10993, 10110, 10995, 10443
    }  # fmt: skip
    assert {listener.port for listener in listeners if not listener.reuse_port} == {
        18081, 12025, 12587, 12465, 12024, 12143, 12993, 12110, 12995, 12443
    }  # fmt: skip


@pytest.mark.parametrize(("offset", "pods"), [(-1, 1), (64_000, 1), (10_000, 0), (10_000, MAX_PODS + 1), (49_000, 16)])
def test_ports_that_are_none(offset: int, pods: int) -> None:
    with pytest.raises(PortError, match="--p"):
        Ports("127.0.0.1", offset, pods)


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_in_use_is_named(shared: bool) -> None:
    with socket.socket() as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = free_offset() + 25
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(PortError, match=rf"port {port} on 127.0.0.1 is in use by another program; --port-offset"):
            Ports("127.0.0.1", port - 25).check_free()


# -- following files


def test_a_change_is_seen_once_and_at_rest(tmp_path: Path) -> None:
    file = tmp_path / "mail.yaml"
    file.write_text("a")
    follower = Follower([file])
    assert not follower.changed()
    file.write_text("ab")
    assert not follower.changed()  # it may still be being written
    file.write_text("abc")
    assert not follower.changed()
    assert follower.changed()
    assert not follower.changed()


def test_touched_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "mail.yaml"
    file.write_text("a")
    follower = Follower([file])
    os.utime(file, (1, 1))
    assert [follower.changed() for _ in range(3)] == [False] * 3


def test_replaced_by_a_file_of_the_same_size_and_time(tmp_path: Path) -> None:
    file, new = tmp_path / "mail.yaml", tmp_path / "new"
    file.write_text("a")
    new.write_text("b")
    os.utime(file, (1, 1))
    os.utime(new, (1, 1))
    follower = Follower([file])
    new.replace(file)
    assert [follower.changed() for _ in range(3)] == [False, True, False]


def test_files_come_and_go_in_a_folder(tmp_path: Path) -> None:
    follower = Follower([tmp_path])
    (tmp_path / "a.yaml").write_text("a")
    (tmp_path / "notes.txt").write_text("a")
    assert [follower.changed() for _ in range(3)] == [False, True, False]
    (tmp_path / "notes.txt").write_text("b")
    assert [follower.changed() for _ in range(3)] == [False] * 3
    (tmp_path / "a.yaml").unlink()
    assert [follower.changed() for _ in range(3)] == [False, True, False]


# -- pods, with a stand-in for `mailpod serve` where its life and death are what is tested


async def test_a_pod_that_dies_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    pods = standing_in(monkeypatch, tmp_path, "import time; time.sleep(60)", told)
    pods.start()
    first = await a_pid(pods)
    os.kill(first, 9)
    second = await a_pid(pods, other_than=first)
    assert told == ["pod 0 ended with -9; it starts again in 0.5 s"]
    await pods.stop(5, asyncio.Event())
    assert not alive(second)


async def test_a_pod_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    told: list[str] = []
    pods = standing_in(monkeypatch, tmp_path, program, told)
    pods.start()
    pid = await a_pid(pods)
    await asyncio.sleep(0.5)  # its signal handler
    await pods.stop(0.2, asyncio.Event())
    assert told == [f"pod 0 (pid {pid}) did not stop in time and is killed"]
    assert not alive(pid)


async def test_a_pod_that_refuses_its_configuration_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = standing_in(monkeypatch, tmp_path, "raise SystemExit(2)", [])
    pods.start()
    await until(pods.failed)
    await pods.stop(1, asyncio.Event())


def standing_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, told: list[str]) -> Pods:
    """Pods whose program is `program`, whatever its arguments."""
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!{sys.executable}\n{program}\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    return Pods([tmp_path / "pod-0.json"], told.append)


async def a_pid(pods: Pods, other_than: int = 0) -> int:
    await until(lambda: pods.pids.get(0, other_than) != other_than)
    return pods.pids[0]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  it is a process that changes
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# -- the banner


def test_the_banner_shows_what_a_person_needs_to_log_in() -> None:
    users = [
        User("alice@example.com", "wonderland", "in Secret default/s"),
        User("bob@example.com", None, "in Secret b"),
    ]

    def text(pods: int) -> str:
        return banner(
            domains=["example.com"],
            users=users,
            ports=Ports("127.0.0.1", 10_000, pods),
            pids={0: 7, 1: 8},
            bucket="data",
            certificate=Path("data/.local/tls.crt"),
        )

    assert "wonderland" in text(1) and "in Secret default/s" not in text(1)
    assert "in Secret b" in text(1)  # only a hash is known
    assert "pod 1 (pid 8): SMTP 12025" in text(2)
    assert "each pod's own ports" not in text(1)


# -- the smarthost


RELAYED = """\
apiVersion: mailpod.dev/v1alpha1
kind: MailDomain
metadata: {name: example}
spec:
  domainName: example.com
  outbound: {smarthost: {host: relay.example.net, credentialsSecretRef: {name: relay}}}
"""


def test_a_smarthosts_credentials_come_from_its_secret(tmp_path: Path) -> None:
    file = tmp_path / "mail.yaml"
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: relay}\nstringData: {username: u%s}\n"
    for more, wrong in (
        ("", "no Secret default/relay"),
        (secret % "", "Secret default/relay has no key password"),
    ):
        file.write_text(RELAYED + more)
        with pytest.raises(ManifestError, match=f"credentialsSecretRef: {wrong}"):
            check(load([file]))
    file.write_text(RELAYED + secret % ", password: p")
    found = load([file])
    check(found)
    [domain] = found.domains.values()
    assert smarthost_credentials(domain, found) == {"username": "u", "password": "p"}
