"""`mail-operator local` as a person runs it; what clients see of changes is in tests/protocol/test_live_changes.py."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.conftest import MakeMailpod
from tests.harness import manifest
from tests.harness.imap import Imap
from tests.harness.processes import wait_until
from tests.harness.server import Mailpod
from tests.harness.target import Account

PROMISE = 10.0


def run(server: Mailpod, *options: str) -> tuple[int, str]:
    """Run to the end a server that should not start; its exit code and standard error."""
    done = subprocess.run([*server.command(), *options], capture_output=True, text=True, timeout=60, cwd=server.home)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailpod]:
    """A server whose manifest argument is a folder."""
    home = tmp_path_factory.mktemp("folder")
    server = Mailpod(home, manifest.accounts(1))
    server.manifest = home / "manifests"
    server.manifest.mkdir()
    manifest.write(server.manifest / "mail.yaml", server.accounts)
    server.start()
    yield server
    server.stop()


def logs_in(server: Mailpod, account: Account) -> bool:
    with Imap(server.target()) as imap:
        return imap.command(f'LOGIN "{account.address}" "{account.password}"').ok


def test_passwords_are_in_no_log(server: Mailpod) -> None:
    assert logs_in(server, server.accounts[0])
    # The banner on standard output has it: it is how a person learns it. No line of the log has.
    events = [line for line in server.log_tail(limit=1 << 20).splitlines() if line.startswith("{")]
    assert any("u000@example.test" in line for line in events)
    assert not any(server.accounts[0].password in line for line in events)


def test_a_file_added_to_the_folder_with_a_generated_password(server: Mailpod) -> None:
    (server.manifest / "carol.yaml").write_text(
        "apiVersion: mailpod.dev/v1alpha1\nkind: Mailbox\nmetadata: {name: carol}\n"
        "spec: {domainRef: {name: example-test}, deletionPolicy: Delete}\n"
    )
    generated = server.data / ".local" / "passwords"
    wait_until(generated.exists, PROMISE, "a password was generated")
    carol = Account("carol@example.test", json.loads(generated.read_text())["default/carol"])
    wait_until(lambda: logs_in(server, carol), PROMISE, "carol can log in", step=1)
    assert carol.password not in server.log_tail(limit=1 << 20)
    (server.manifest / "carol.yaml").unlink()
    wait_until(lambda: not logs_in(server, carol), PROMISE, "carol cannot log in any more", step=1)
    assert "Mailbox default/carol was removed" in server.log_tail()
    assert "this version erases nothing" in server.log_tail()


def test_what_is_wrong_later_changes_nothing_and_is_said_once(server: Mailpod) -> None:
    wrong = server.manifest / "wrong.yaml"
    wrong.write_text("apiVersion: mailpod.dev/v1alpha1\nkind: Mailbox\nmetadata: {name: dave}\nspec: {}\n")
    problem = f"{wrong}:4: Mailbox default/dave: spec.domainRef: is required"
    wait_until(lambda: problem in server.log_tail(), PROMISE, "the problem is said")
    assert logs_in(server, server.accounts[0])
    wrong.unlink()
    wait_until(
        lambda: "the manifests changed\n" in server.log_tail().partition(problem)[2], PROMISE, "all is well again"
    )
    assert server.log_tail().count(problem) == 1


def test_a_new_hostname_is_in_the_certificate_at_once(server: Mailpod) -> None:
    manifest.write(server.manifest / "mail.yaml", server.accounts, hostname="mx2.example.test")

    def shows_it() -> bool:
        context = ssl.create_default_context(cafile=str(server.data / ".local" / "tls.crt"))
        try:
            with socket.create_connection(("127.0.0.1", server.target().port("imaps"))) as plain:
                context.wrap_socket(plain, server_hostname="mx2.example.test").close()
        except ssl.SSLError:
            return False
        return True

    wait_until(shows_it, PROMISE, "the certificate has the new name", step=0.5)


def test_a_second_run_on_the_same_folder_is_refused(server: Mailpod) -> None:
    code, said = run(server, "--port-offset", "30000")
    assert (code, said) == (
        2,
        f"mail-operator: another mail-operator local is running on {server.data} (--data names another folder)\n",
    )


def test_a_port_in_use_is_named(server: Mailpod, tmp_path: Path) -> None:
    code, said = run(server, "--data", str(tmp_path))
    port = server.offset + 25
    assert code == 2
    assert f"port {port} on 127.0.0.1 is in use by another program; --port-offset moves all ports" in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: [", ": is not YAML: "),
        (
            "apiVersion: mailpod.dev/v1alpha1\nkind: MailDomain\nmetadata: {name: a}\n",
            "MailDomain default/a: spec: is req",
        ),
        (None, "mail.yaml: No such file or directory"),
    ],
)
def test_what_is_wrong_from_the_start_is_said(make_mailpod: MakeMailpod, text: str | None, problem: str) -> None:
    server = make_mailpod(start=False)
    server.manifest.write_text(text or "")
    if text is None:
        server.manifest.unlink()
    code, said = run(server)
    assert code == 2
    assert said.startswith("mail-operator: ") and problem in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("bucket", "problem"),
    [("ftp://x", "bucket: not a bucket"), ("/proc/nowhere", "bucket: "), ("s3://", "bucket: no ")],
)
def test_a_bucket_that_is_none(make_mailpod: MakeMailpod, bucket: str, problem: str) -> None:
    code, said = run(make_mailpod(start=False), "--bucket", bucket)
    assert code == 2
    assert problem in said and "Traceback" not in said


def test_the_pods_end_with_a_parent_that_was_killed(make_mailpod: MakeMailpod) -> None:
    server = make_mailpod(pods=2)
    pods = server.pod_processes()
    assert len(pods) == 2
    assert server.process is not None
    server.process.kill()
    assert psutil.wait_procs(pods, timeout=20)[1] == []
    server.process.wait(5)
    server.start()  # the lock, the ports and the data are free
    assert logs_in(server, server.accounts[0])


def test_mail_in_a_folder_elsewhere(make_mailpod: MakeMailpod) -> None:
    server = make_mailpod(accounts=1, bucket="bucket")  # relative to the working directory
    assert logs_in(server, server.accounts[0])
    assert (server.home / "bucket" / "directory" / "example.test" / "!domain").exists()
    assert [item.name for item in server.data.iterdir()] == [".local"]
