"""What `helm test` does: send a message by SMTP, read it by IMAP over TLS, delete it. Tried again until TIMEOUT."""

import imaplib
import os
import smtplib
import ssl
import sys
import time
import uuid

HOST, DOMAIN = os.environ["HOST"], os.environ["DOMAIN"]
ADDRESS, PASSWORD = "mail@" + DOMAIN, os.environ["PASSWORD"]
DEADLINE = time.monotonic() + float(os.environ["TIMEOUT"])
MARK = uuid.uuid4().hex
TLS = ssl.create_default_context()  # the trial's certificate is self-signed
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


def send():
    header = f"From: test@{DOMAIN}\r\nTo: {ADDRESS}\r\nSubject: {MARK}\r\nMessage-ID: <{MARK}@{DOMAIN}>\r\n"
    message = f"{header}\r\nhelm test\r\n"
    with smtplib.SMTP(HOST, 25, timeout=15) as client:
        client.starttls(context=TLS)
        client.sendmail("test@" + DOMAIN, [ADDRESS], message)


def read():
    with imaplib.IMAP4_SSL(HOST, 993, ssl_context=TLS, timeout=15) as client:
        client.login(ADDRESS, PASSWORD)
        client.select("INBOX")
        found = client.search(None, "HEADER", "Subject", MARK)[1][0].split()
        if len(found) != 1:
            raise AssertionError(f"{len(found)} messages in INBOX with the subject that was sent")
        text = client.fetch(found[0], "(BODY.PEEK[])")[1][0][1]
        if b"helm test\r\n" not in text or MARK.encode() not in text:
            raise AssertionError("the message is not what was sent")
        client.store(found[0], "+FLAGS", r"\Deleted")
        client.expunge()


def until_it_works(what):
    while True:
        try:
            return what()
        except (OSError, smtplib.SMTPException, imaplib.IMAP4.error, AssertionError) as error:
            if time.monotonic() > DEADLINE:
                sys.exit(f"{what.__name__}: {error}")
            print(f"{what.__name__}: {error}; again in 2 s", flush=True)
            time.sleep(2)


until_it_works(send)
print(f"sent to {ADDRESS} by SMTP through {HOST}", flush=True)
until_it_works(read)
print("read by IMAP", flush=True)
