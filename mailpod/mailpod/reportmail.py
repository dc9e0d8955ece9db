"""The mail that a daily report to another domain goes out in: some words for people, and the report. No I/O."""

from __future__ import annotations

from base64 import encodebytes
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attached:
    """A report as a part of a message."""

    type: str
    filename: str
    data: bytes


def report_mail(head: Sequence[str], multipart: str, boundary: str, words: str, attached: Attached) -> bytes:
    """The message. `head` are its own fields, without CRLF; `multipart` is its type, and the parameters that it has."""
    fields = [
        *head,
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        f'Content-Type: {multipart}; boundary="{boundary}"',
    ]
    report = [
        f"Content-Type: {attached.type}",
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment; filename="{attached.filename}"',
    ]
    data = encodebytes(attached.data).replace(b"\n", b"\r\n").decode("ascii")
    text = ["Content-Type: text/plain; charset=us-ascii"]
    parts = "".join(
        f"--{boundary}\r\n" + "\r\n".join(of_part) + f"\r\n\r\n{body}\r\n"
        for of_part, body in ((text, words), (report, data))
    )
    return ("\r\n".join(fields) + f"\r\n\r\n{parts}--{boundary}--\r\n").encode()
