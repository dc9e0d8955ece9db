"""What scanning costs a message: `.venv/bin/python benchmarks/mime.py`. The `email` package beside it, for scale.

Messages like real mail: 25 header lines, 4 KB of text; 17 KB multipart with base64; 1 MB attached; and the shapes
made to hurt, per megabyte.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from email import message_from_bytes
from functools import partial
from timeit import repeat

from mailpod.mime.scan import scan
from mailpod.mime.sections import body_from_bodystructure, header_fields
from mailpod.mime.text import decoded_text

HEADER = b"""Return-Path: <alice@example.org>\r
Delivered-To: bob@example.com\r
Received: from mx1.example.org (mx1.example.org [192.0.2.1])\r
\tby pod-1.example.com with ESMTPS id 6F2A9\r
\tfor <bob@example.com>; Mon, 23 Nov 2026 17:00:01 +0000\r
Received: from laptop (unknown [198.51.100.7])\r
\tby mx1.example.org (Postfix) with ESMTPSA id 4C7D1A\r
\tfor <bob@example.com>; Mon, 23 Nov 2026 17:00:00 +0000 (UTC)\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=mail;\r
\tt=1795000000; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r
\th=From:To:Subject:Date;\r
\tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR\r
Authentication-Results: pod-1.example.com; dkim=pass; spf=pass\r
Date: Mon, 23 Nov 2026 18:00:00 +0100\r
From: Alice Example <alice@example.org>\r
Reply-To: "Alice, at work" <alice@work.example>\r
To: Bob <bob@example.com>, carol@example.com,\r
\t"Dan D." <dan@example.com>\r
Cc: list@lists.example.org\r
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and the report for\r
 November\r
Message-ID: <20261123170000.4C7D1A@mx1.example.org>\r
In-Reply-To: <abc@example.com>\r
References: <abc@example.com> <def@example.com>\r
User-Agent: Mozilla Thunderbird\r
X-Spam-Status: No\r
MIME-Version: 1.0\r
"""


def plain(size: int) -> bytes:
    body = b"The quick brown fox jumps over the lazy dog, again and again.\r\n" * (size // 64)
    return HEADER + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body


def mixed(size: int) -> bytes:
    attached = base64.encodebytes(random.Random(1).randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
    return (
        HEADER
        + b'Content-Type: multipart/mixed; boundary="=_outer"\r\n\r\n--=_outer\r\n'
        + b'Content-Type: multipart/alternative; boundary="=_inner"\r\n\r\n--=_inner\r\n'
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\nHello Bob\r\n--=_inner\r\n"
        + b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + b"<p>Hello Bob</p>\r\n" * 100
        + b"--=_inner--\r\n\r\n--=_outer\r\n"
        + b'Content-Type: application/pdf; name="report.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
        + b'Content-Disposition: attachment; filename="report.pdf"\r\n\r\n'
        + attached
        + b"--=_outer--\r\n"
    )


def nasty() -> dict[str, bytes]:
    parts = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100))
    return {
        "many parts": parts + b"--b\r\n\r\nx\r\n" * 90_000,
        "100 deep": deep + b"x\r\n" * 300_000,
        "no boundaries": parts + b"--\r\n" * 250_000,
        "one line": b"\r\n" + b"x" * 1_000_000,
        "many fields": b"A: b\r\n" * 170_000,
        "many addresses": b"To: " + b"a@b, " * 200_000,
        "open quotes": b"To: " + b'"a\\" <' * 150_000,
        "open comments": b"To: " + b"(a" * 500_000,
        "many parameters": b"Content-Type: text/plain" + b";a=b" * 250_000,
    }


def best(call: Callable[[], object], number: int) -> float:
    """Milliseconds a call, the least of five runs."""
    return min(repeat(call, number=number, repeat=5)) / number * 1000


def main() -> None:
    print(f"{'message':>16} {'KB':>6} {'scan ms':>9} {'email ms':>9}")
    for name, data in {"plain": plain(4096), "multipart": mixed(14_000), "1 MB": mixed(1_000_000)}.items():
        ours, theirs = best(partial(scan, data), 100), best(partial(message_from_bytes, data), 5)
        print(f"{name:>16} {len(data) / 1000:6.0f} {ours:9.4f} {theirs:9.4f}")
    data = mixed(14_000)
    found = scan(data)
    wanted = frozenset([b"from", b"to", b"subject", b"date"])
    calls: dict[str, Callable[[], object]] = {
        "BODY of BODYSTR.": lambda: body_from_bodystructure(found.bodystructure),
        "four fields": lambda: header_fields(found.fields, wanted, False),
        "text of 17 KB": lambda: list(decoded_text(data, found.parts, found.header_size, headers=True)),
    }
    for name, call in calls.items():
        print(f"{name:>16} {'':6} {best(call, 100):9.4f}")
    for name, data in nasty().items():
        print(f"{name:>16} {len(data) / 1000:6.0f} {best(partial(scan, data), 1):9.4f}")


if __name__ == "__main__":
    main()
