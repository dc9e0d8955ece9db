"""fetchmail and mpop fetch, keep, and delete: POP3 on each port, and fetchmail over IMAP as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness.clients import fill, private, run, stored
from tests.harness.need import need
from tests.harness.target import Account, Target

modes = pytest.mark.parametrize("tls", ["plain", "starttls", "tls"])


def fetchmail(target: Target, account: Account, home: Path, kind: str, tls: str, keep: str) -> list[bytes]:
    """Run fetchmail once; what it handed to its delivery agent, a message a file."""
    inbox = home / "in"
    inbox.mkdir(exist_ok=True)
    agent = home / "agent"
    agent.write_text(f'#!/bin/sh\nexec cat > "$(mktemp {inbox}/XXXXXXXX)"\n')
    agent.chmod(0o700)
    port = target.port(f"{kind}s" if tls == "tls" else kind)
    security = {
        "plain": 'sslproto ""',
        "starttls": f'sslproto "TLS1.2+" sslcertck sslcertfile "{target.ca}" sslcommonname "{target.hostname}"',
        "tls": f'ssl sslcertck sslcertfile "{target.ca}" sslcommonname "{target.hostname}"',
    }[tls]
    config = private(
        home / "fetchmailrc",
        f"set no bouncemail\npoll {target.host} protocol {kind} port {port} uidl\n".replace(
            " uidl", " uidl" if kind == "pop3" else ""
        )
        + f'user "{account.address}" password "{account.password}" is "here" {security} {keep} mda "{agent}"\n',
    )
    ids = home / "fetchids"
    # 0: mail was fetched, 1: there was none
    run(
        [need("fetchmail"), "-f", config, "-i", ids, "--nosyslog", "--pidfile", home / "pid"], home=home, allowed=(0, 1)
    )
    return [file.read_bytes() for file in sorted(inbox.iterdir())]


@modes
@pytest.mark.parametrize("kind", ["pop3", "imap"])
def test_fetchmail_fetches_and_deletes(target: Target, account: Account, tmp_path: Path, kind: str, tls: str) -> None:
    words = fill(target, account, 3)
    fetched = b"".join(fetchmail(target, account, tmp_path, kind, tls, "nokeep"))
    assert all(word.encode() in fetched for word in words)
    assert stored(target, account) == []


@modes
def test_fetchmail_keeps_and_fetches_each_once(target: Target, account: Account, tmp_path: Path, tls: str) -> None:
    fill(target, account, 2)
    assert len(fetchmail(target, account, tmp_path, "pop3", tls, "keep")) == 2
    fill(target, account, 1)
    assert len(fetchmail(target, account, tmp_path, "pop3", tls, "keep")) == 3
    assert len(stored(target, account)) == 3


def mpop(target: Target, account: Account, home: Path, tls: str, keep: str) -> list[bytes]:
    """Run mpop once; every message in its Maildir."""
    maildir = home / "maildir"
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    lines = [f"host {target.host}", f"port {target.port('pop3s' if tls == 'tls' else 'pop3')}", f"keep {keep}"]
    lines += [f"user {account.address}", f"password {account.password}", "auth plain", f"delivery maildir {maildir}"]
    lines += [f"uidls_file {home / 'uidls'}", "received_header off"]
    if tls == "plain":
        lines.append("tls off")
    else:
        starttls = "on" if tls == "starttls" else "off"
        lines += ["tls on", f"tls_starttls {starttls}", f"tls_fingerprint {target.fingerprint()}"]
    config = private(home / "mpoprc", "account default\n" + "\n".join(lines) + "\n")
    run([need("mpop"), "-C", config], home=home)
    return [file.read_bytes() for file in sorted((maildir / "new").iterdir())]


@modes
def test_mpop_fetches_and_deletes(target: Target, account: Account, tmp_path: Path, tls: str) -> None:
    words = fill(target, account, 3)
    fetched = b"".join(mpop(target, account, tmp_path, tls, "off"))
    assert all(word.encode() in fetched for word in words)
    assert stored(target, account) == []


@modes
def test_mpop_keeps_and_fetches_each_once(target: Target, account: Account, tmp_path: Path, tls: str) -> None:
    fill(target, account, 2)
    assert len(mpop(target, account, tmp_path, tls, "on")) == 2
    fill(target, account, 1)
    assert len(mpop(target, account, tmp_path, tls, "on")) == 3
    assert len(stored(target, account)) == 3
