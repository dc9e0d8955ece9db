"""What `test_many.py` asks of services inside the cluster's network, of many accounts and names at a time.

Run there as a program, `python many_inside.py`: a job on stdin as JSON, `{"do": …, …}`, and its answer on stdout.
"""

from __future__ import annotations

import imaplib
import json
import smtplib
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cryptography import x509

Answer = dict[str, Any]
_AT_ONCE = 50
_LOOK = 0.25  # seconds


def arrive(host: str, accounts: Sequence[Sequence[str]]) -> Answer:
    """Each account logs in, is sent a letter, and reads it, all at once and each step once; the seconds of each.

    An account is an address and its password. Raises what the first failed step raised.
    """

    def one(account: Sequence[str]) -> float:
        address, password = account
        began = time.monotonic()
        with _imap(host) as client:
            client.login(address, password)
            with smtplib.SMTP(host, 25, timeout=60) as sender:
                sender.sendmail("test@elsewhere.test", [address], f"Subject: hello\r\n\r\nto {address}\r\n")
            client.select("INBOX", readonly=True)
            (_, parts) = client.uid("FETCH", "1:*", "(BODY.PEEK[TEXT])")
            texts = [part[1] for part in parts if isinstance(part, tuple)]
            if not any(f"to {address}".encode() in text for text in texts):
                raise AssertionError(f"{address} does not have its letter: {parts}")
        return time.monotonic() - began

    return {"seconds": _all(one, accounts)}


def change(host: str, accounts: Sequence[Sequence[str]], manifest: str, namespace: str, within: float) -> Answer:
    """Apply `manifest`, which gives each account (address, old password, new one) its new password.

    Each has a session that logged in with the old one. From when kubectl is started: `closed` is when that session is
    ended, `new` when the new password let one in (nobody tries it before that or before `within` is nearly over, as
    failures are slowed down), `said` what the old one is told afterwards.
    """
    sessions = _all(lambda account: _logged_in(host, account[0], account[1]), accounts)
    began = time.monotonic()
    applying = subprocess.Popen(
        ["kubectl", "apply", "-n", namespace, "--server-side", "--force-conflicts", "-f", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip

    def one(both: tuple[Sequence[str], imaplib.IMAP4_SSL]) -> Sequence[float]:
        (address, _, new), session = both
        closed = _until_closed(session, began + within - 2)
        while True:
            try:
                _logged_in(host, address, new).logout()
                return closed - began, time.monotonic() - began
            except imaplib.IMAP4.error:
                if time.monotonic() > began + within:
                    raise
                time.sleep(_LOOK)

    def old(account: Sequence[str]) -> str:
        try:
            _logged_in(host, account[0], account[1])
        except imaplib.IMAP4.error as error:
            return str(error)
        return "let in"

    with ThreadPoolExecutor(1) as feeder:
        feeder.submit(applying.communicate, manifest)
        times = _all(one, list(zip(accounts, sessions, strict=True)))
    return {
        "applied": applying.wait(),
        "closed": [closed for closed, _ in times],
        "new": [new for _, new in times],
        "said": _all(old, accounts),
    }


def _until_closed(session: imaplib.IMAP4_SSL, deadline: float) -> float:
    """When the server ended the session, or `deadline`."""
    while time.monotonic() < deadline:
        try:
            session.noop()
        except (imaplib.IMAP4.error, OSError):
            return time.monotonic()
        time.sleep(_LOOK)
    return deadline


def certificates(host: str, port: int, names: Sequence[str]) -> Answer:
    """The names in the certificate that is served for each SNI."""

    def one(name: str) -> list[str]:
        with _connected(host, port, name) as secured:
            der = secured.getpeercert(binary_form=True)
        found = x509.load_der_x509_certificate(der or b"").extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return found.value.get_values_for_type(x509.DNSName)

    return dict(zip(names, _all(one, names), strict=True))


def deliver(host: str, addresses: Sequence[str], data: bool = True) -> Answer:
    """The SMTP reply for each address: to RCPT, and where that is 250 and `data` is asked for, to a letter's end."""

    def one(address: str) -> int:
        with smtplib.SMTP(host, 25, timeout=60) as client:
            client.ehlo()
            client.mail("test@elsewhere.test")
            code, _ = client.rcpt(address)
            if code == 250 and data:
                code, _ = client.data(f"Subject: hello\r\n\r\nto {address}\r\n")
            return code

    return dict(zip(addresses, _all(one, addresses), strict=True))


def listing(endpoint: str, bucket: str, access: str, secret: str) -> Answer:
    """ETag and time of every object."""
    pages = _s3(endpoint, access, secret).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {one["Key"]: [one["ETag"], str(one["LastModified"])] for page in pages for one in page.get("Contents", [])}


def plant(endpoint: str, bucket: str, access: str, secret: str, key: str, text: str) -> Answer:
    """Write an object."""
    return {"etag": _s3(endpoint, access, secret).put_object(Bucket=bucket, Key=key, Body=text.encode())["ETag"]}


def metrics(host: str, port: int) -> Answer:
    """The operator's metrics, by name and labels."""
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def _s3(endpoint: str, access: str, secret: str) -> Any:
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1"
    )


def _logged_in(host: str, address: str, password: str) -> imaplib.IMAP4_SSL:
    client = _imap(host)
    try:
        client.login(address, password)
    except imaplib.IMAP4.error:
        client.shutdown()
        raise
    return client


def _imap(host: str) -> imaplib.IMAP4_SSL:
    return imaplib.IMAP4_SSL(host, 993, ssl_context=_trusting(), timeout=60)


def _connected(host: str, port: int, name: str) -> ssl.SSLSocket:
    import socket

    return _trusting().wrap_socket(socket.create_connection((host, port), timeout=60), server_hostname=name)


def _trusting() -> ssl.SSLContext:
    """The certificates are self-signed; whose they are is looked at apart."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _all(do: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(do, items))


JOBS = {job.__name__: job for job in (arrive, change, certificates, deliver, listing, plant, metrics)}


def main() -> None:
    job = json.load(sys.stdin)
    print(json.dumps(JOBS[job.pop("do")](**job)))


if __name__ == "__main__":
    main()
