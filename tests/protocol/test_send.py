"""Real clients send: to the MX port, to submission and to implicit TLS, in the clear and after STARTTLS."""

from __future__ import annotations

import smtplib
from pathlib import Path

import pytest
from tests.harness.clients import body_of, letter, private, run, wait_arrived
from tests.harness.need import need, need_perl
from tests.harness.target import Account, Target

ROUTES = [
    pytest.param("smtp", "plain", id="mx-plain"),
    pytest.param("smtp", "starttls", id="mx-starttls"),
    pytest.param("submission", "plain", id="submission-plain"),
    pytest.param("submission", "starttls", id="submission-starttls"),
    pytest.param("submissions", "tls", id="submissions-tls"),
]
routes = pytest.mark.parametrize(("service", "tls"), ROUTES)


def arrived(target: Target, account: Account, word: str, sent: bytes) -> None:
    (message,) = wait_arrived(target, account, 1)
    assert word.encode() in message
    assert body_of(message).rstrip() == body_of(sent).rstrip()  # swaks adds an empty line of its own


@routes
def test_swaks(target: Target, account: Account, tmp_path: Path, service: str, tls: str) -> None:
    if tls != "plain":
        need_perl("Net::SSLeay")
    word, message = letter(sender=account.address)
    (tmp_path / "letter").write_bytes(message)
    command = [need("swaks"), "--server", target.host, "--port", str(target.port(service)), "--ehlo", "client.test"]
    command += ["--from", account.address, "--to", account.address, "--data", f"@{tmp_path / 'letter'}"]
    command += {"plain": [], "starttls": ["--tls"], "tls": ["--tls-on-connect"]}[tls]
    if service != "smtp":
        command += ["--auth", "LOGIN", "--auth-user", account.address, "--auth-password", account.password]
    run(command)
    arrived(target, account, word, message)


@routes
def test_msmtp(target: Target, account: Account, tmp_path: Path, service: str, tls: str) -> None:
    word, message = letter(sender=account.address)
    lines = [f"host {target.host}", f"port {target.port(service)}", f"from {account.address}", "domain client.test"]
    lines += ["tls off"] if tls == "plain" else ["tls on", f"tls_starttls {'on' if tls == 'starttls' else 'off'}"]
    if tls != "plain":
        lines.append(f"tls_fingerprint {target.fingerprint()}")
    if service != "smtp":
        lines += ["auth plain", f"user {account.address}", f"password {account.password}"]
    config = private(tmp_path / "msmtprc", "account default\n" + "\n".join(lines) + "\n")
    run([need("msmtp"), "-C", config, account.address], stdin=message.replace(b"\r\n", b"\n"), home=tmp_path)
    arrived(target, account, word, message)


@routes
def test_curl(target: Target, account: Account, tmp_path: Path, service: str, tls: str) -> None:
    word, message = letter(sender=account.address)
    (tmp_path / "letter").write_bytes(message)
    port = target.port(service)
    url = f"{'smtps' if tls == 'tls' else 'smtp'}://{target.hostname}:{port}/client.test"
    command = [need("curl"), "-sS", "--resolve", f"{target.hostname}:{port}:{target.host}", url]
    command += ["--mail-from", account.address, "--mail-rcpt", account.address, "-T", str(tmp_path / "letter")]
    if tls != "plain":
        command += ["--cacert", str(target.ca), "--ssl-reqd"]
    if service != "smtp":
        command += ["--user", f"{account.address}:{account.password}"]
    run(command)
    arrived(target, account, word, message)


def smtplib_client(target: Target, service: str, tls: str) -> smtplib.SMTP:
    port = target.port(service)
    if tls == "tls":
        # the certificate's name is not 127.0.0.1, so the context is told which name to check
        context = target.tls()
        context.check_hostname = False
        return smtplib.SMTP_SSL(target.host, port, "client.test", context=context, timeout=30)
    client = smtplib.SMTP(target.host, port, "client.test", timeout=30)
    if tls == "starttls":
        client._host = target.hostname  # type: ignore[attr-defined]  # the name that starttls checks
        client.starttls(context=target.tls())
    return client


@routes
def test_smtplib(target: Target, account: Account, service: str, tls: str) -> None:
    word, message = letter(sender=account.address)
    with smtplib_client(target, service, tls) as client:
        client.ehlo_or_helo_if_needed()
        for extension in ("size", "8bitmime", "pipelining", "enhancedstatuscodes"):
            assert client.has_extn(extension), extension
        if service != "smtp":
            client.login(account.address, account.password)
        assert client.sendmail(account.address, [account.address], message) == {}
    arrived(target, account, word, message)


def test_smtplib_refuses_an_unknown_recipient(target: Target, account: Account) -> None:
    with smtplib.SMTP(target.host, target.port("smtp"), "client.test", timeout=30) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("a@elsewhere.test", ["nobody-here@example.test"], letter()[1])
        code, _ = refused.value.recipients["nobody-here@example.test"]
        assert code == 550  # RFC 5321 §3.3: refused at RCPT, never bounced later


def test_smtplib_cannot_relay_without_logging_in(target: Target, account: Account) -> None:
    client = smtplib.SMTP(target.host, target.port("submission"), "client.test", timeout=30)
    with client, pytest.raises(smtplib.SMTPException):
        client.sendmail(account.address, ["someone@faraway.test"], letter()[1])
    with smtplib.SMTP(target.host, target.port("smtp"), "client.test", timeout=30) as client:
        client.ehlo()
        client.mail("a@elsewhere.test")
        code, _ = client.rcpt("someone@faraway.test")
        assert 500 <= code < 600


def test_smtplib_one_message_for_several_recipients(target: Target, account: Account, other: Account) -> None:
    word, message = letter()
    with smtplib.SMTP(target.host, target.port("smtp"), "client.test", timeout=30) as client:
        assert client.sendmail("a@elsewhere.test", [account.address, other.address], message) == {}
    arrived(target, account, word, message)
    arrived(target, other, word, message)
