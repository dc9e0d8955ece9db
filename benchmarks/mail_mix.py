"""The message mix of TARGETS.md: text of 1 to 60 KB, multipart, base64, mean 17 KB; no two alike."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator

LETTER = (
    b"Return-Path: <sender%d@elsewhere.test>\r\n"
    b"Received: from a.test by b.test; Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"From: Sender %d <sender%d@elsewhere.test>\r\n"
    b"To: Someone <someone@example.test>\r\n"
    b"Subject: Letter %d %s\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <%d.%d@elsewhere.test>\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="=_%d"\r\n\r\n'
    b"--=_%d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n"
    b"--=_%d\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n%s"
    b"--=_%d--\r\n"
)


def mix(count: int, seed: int = 7, mean: int = 17_000) -> Iterator[bytes]:
    """`count` messages, the same for the same seed; `mean` octets each, or somewhat more where that is little."""
    rng = random.Random(seed)
    words = [bytes(rng.choice(b"abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randrange(2, 11))) for _ in range(5000)]
    for number in range(count):
        size = min(60_000, max(1_000, int(rng.expovariate(1 / mean))))
        text = b"\r\n".join(b" ".join(rng.choices(words, k=11)) for _ in range(max(1, size // 160)))
        coded = base64.encodebytes(rng.randbytes(max(60, size * 3 // 8))).replace(b"\n", b"\r\n")
        head = (*[number % 97] * 3, number, rng.choice(words), number, seed)
        yield LETTER % (*head, number, number, text, number, coded, number)
