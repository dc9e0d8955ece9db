"""Mail as it really comes: each letter is legal enough to be sent, and must be given back byte for byte."""

from __future__ import annotations

import random

SMTP_LETTERS: dict[str, bytes] = {
    "8-bit-header": b"Subject: caf\xe9 \xa4\r\nFrom: \xc4rger <a@b.test>\r\n\r\nx\r\n",
    "utf-8-header": "Subject: Grüße 日本 😀\r\nFrom: Ünï <ü@exämple.test>\r\n\r\nKörper\r\n".encode(),
    "8-bit-body": b"Subject: x\r\n\r\n" + bytes(byte for byte in range(1, 256) if byte not in b"\r\n") + b"\r\n",
    "dots": b"Subject: d\r\n\r\n.\r\n..\r\n.x\r\n...\r\n.\r\n\r\n.\r\n",
    "dot-first": b".Subject: d\r\n\r\nx\r\n",
    "empty-body": b"Subject: x\r\n\r\n",
    "header-alone": b"Subject: x\r\n",
    "body-alone": b"\r\nno header at all\r\n",
    "no-header-fields": b"this is not a header\r\nnor is this\r\n\r\nbody\r\n",
    "one-empty-line": b"\r\n",
    "many-empty-lines": b"\r\n" * 300,
    "mbox-line": b"From nobody Mon Nov 23 10:00:00 2026\r\nSubject: x\r\n\r\nFrom me\r\n>From you\r\n",
    "spaces-at-ends": b"Subject: x   \t\r\n\r\nline   \r\n   \r\n\t\r\n",
    "folded-header": b"Subject: a\r\n b\r\n\tc\r\nX: \r\n\r\nx\r\n",
    "colon-with-space": b"Subject : x\r\nTo :y\r\n\r\nx\r\n",
    "long-header": b"X-Long: " + b"h" * 200_000 + b"\r\nSubject: x\r\n\r\nx\r\n",
    "many-headers": b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\nx\r\n",
    "long-line": b"Subject: l\r\n\r\n" + b"0123456789" * 50_000 + b"\r\nend\r\n",
    "broken-boundary": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--b\r\n\r\nx\r\n--a\r\n",
    "no-last-boundary": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a\r\n\r\ny\r\n",
    "deep": b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(300))
    + b"\r\nx\r\n",
    "message-in-message": b"Content-Type: message/rfc822\r\n\r\n" * 2 + b"Subject: in\r\n\r\nx\r\n",
    "bad-date": b"Date: yesterday, at noon or so\r\nSubject: x\r\n\r\nx\r\n",
    "quotes-and-backslashes": b'Subject: "a\\"b\\\\" {12}\r\nFrom: "x\\" {3+}" <"q\\"uote"@b.test>\r\n\r\n{5}\r\nx\r\n',
    "looks-like-imap": b"Subject: x\r\n\r\n* BYE\r\nT1 OK done\r\n)\r\n+OK\r\n-ERR\r\n",
    "looks-like-smtp": b"Subject: x\r\n\r\nRSET\r\nQUIT\r\nDATA\r\nMAIL FROM:<a@b>\r\n",
}
"""What SMTP and APPEND can both carry: lines end CRLF, and there is no NUL."""

APPEND_LETTERS: dict[str, bytes] = {
    **SMTP_LETTERS,
    "bare-lf": b"Subject: x\n\nline\n.\nline\r\n.\r\n\n",
    "bare-cr": b"Subject: x\r\n\r\nline\rline\r\rline\r.\r\r\n",
    "lf-cr": b"Subject: x\n\r\n\rline\n\r",
    "no-final-newline": b"Subject: x\r\n\r\nthe end",
    "final-cr": b"Subject: x\r\n\r\nthe end\r",
    "final-lf": b"Subject: x\r\n\r\nthe end\n",
    "one-byte": b"x",
    "final-dot": b"Subject: x\r\n\r\n.",
}


def large(size: int, seed: int = 1) -> bytes:
    """A letter of `size` bytes or a little more: lines of 76 letters and dots, no two letters alike."""
    rng = random.Random(seed)
    line_count = size // 78
    alphabet = bytes(rng.choice(b"abcdefghijklmnopqrstuvwxyz.") for _ in range(65_536))
    starts = (rng.randrange(65_000) for _ in range(line_count))
    return b"Subject: large\r\n\r\n" + b"".join(alphabet[at : at + 76] + b"\r\n" for at in starts)
