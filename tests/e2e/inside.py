"""What tests ask of services inside the cluster's network: run there as a program, `python inside.py`, a job on stdin.

The job is JSON, `{"do": …, …}`, and so is the answer. Only Python's library and boto3 are needed: no part of Mailpod.
"""

from __future__ import annotations

import hashlib
import imaplib
import json
import re
import smtplib
import socket
import ssl
import sys
from typing import Any

Answer = dict[str, Any]


def reached(host: str, port: int) -> Answer:
    """Whether a connection is taken there; refused is what a Service does that has nobody to give it to."""
    try:
        socket.create_connection((host, port), timeout=30).close()
    except ConnectionRefusedError:
        return {"reached": False}
    return {"reached": True}


def send(host: str, port: int, recipient: str, count: int = 1, sender: str = "test@elsewhere.test") -> Answer:
    """Send letters without logging in; the replies to RCPT and to DATA. Stops at the first that is not taken."""
    replies = []
    with smtplib.SMTP(host, port, timeout=30) as client:
        client.ehlo()
        for number in range(count):
            client.mail(sender)
            code, text = client.rcpt(recipient)
            if code == 250:
                code, text = client.data(f"Subject: letter {number}\r\n\r\nBody of letter {number}.\r\n")
            replies.append([code, text.decode()])
            if code != 250:
                break
    return {"replies": replies}


def rcpt(host: str, port: int, recipient: str, sender: str = "test@elsewhere.test") -> Answer:
    """What RCPT is answered; nothing is sent."""
    with smtplib.SMTP(host, port, timeout=30) as client:
        client.ehlo()
        client.mail(sender)
        code, text = client.rcpt(recipient)
        return {"code": code, "said": text.decode()}


def login(host: str, port: int, user: str, password: str) -> Answer:
    """Whether IMAP over TLS lets one in, and what it says where it does not."""
    with imaplib.IMAP4_SSL(host, port, ssl_context=_trusting(), timeout=30) as client:
        try:
            client.login(user, password)
        except imaplib.IMAP4.error as error:
            return {"in": False, "said": str(error)}
        return {"in": True, "said": ""}


def mailbox(host: str, port: int, user: str, password: str, name: str = "INBOX") -> Answer:
    """UIDVALIDITY, and of each message its UID and a digest of its bytes."""
    with imaplib.IMAP4_SSL(host, port, ssl_context=_trusting(), timeout=30) as client:
        client.login(user, password)
        client.select(name, readonly=True)
        told: Any = client.response("UIDVALIDITY")[1]
        uids = client.uid("SEARCH", "ALL")[1][0].split()
        messages = {}
        for uid in uids:
            parts: Any = client.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1]
            messages[uid.decode()] = hashlib.sha256(parts[0][1]).hexdigest()
        return {"uidvalidity": int(told[0]), "messages": messages}


def certificate(host: str, port: int) -> Answer:
    """The server's certificate, as PEM."""
    return {"pem": ssl.get_server_certificate((host, port))}


def versions(endpoint: str, bucket: str, access: str, secret: str, prefix: str = "") -> Answer:
    """Names of current objects, of all versions, and of delete markers, below a prefix of a bucket."""
    import boto3

    s3 = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1"
    )
    found: Answer = {"objects": [], "versions": [], "markers": []}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found["versions"] += [one["Key"] for one in page.get("Versions", [])]
        found["markers"] += [one["Key"] for one in page.get("DeleteMarkers", [])]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        found["objects"] += [one["Key"] for one in page.get("Contents", [])]
    return found


def _trusting() -> ssl.SSLContext:
    """The trials' certificates are self-signed; that they are right is tested elsewhere."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


JOBS = {job.__name__: job for job in (reached, send, rcpt, login, mailbox, certificate, versions)}


def main() -> None:
    job = json.load(sys.stdin)
    print(json.dumps(JOBS[re.sub(r"\W", "", job.pop("do"))](**job)))


if __name__ == "__main__":
    main()
