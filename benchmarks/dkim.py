"""CPU of two DKIM signatures, RSA-2048 and Ed25519, a message: `.venv/bin/python -m benchmarks.dkim`.

Beside it dkimpy with the same RSA key (it needs pynacl for Ed25519). Aim (TARGETS.md): under 1 ms at 4 KB.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailpod.dkim.signing import SigningKey, signature_fields

HEADER = (
    b"Received: from laptop ([198.51.100.7])\r\n\tby mail.example.org;\r\n\tMon, 23 Nov 2026 17:00:00 +0000\r\n"
    b"Date: Mon, 23 Nov 2026 18:00:00 +0100\r\nFrom: Alice Example <alice@example.org>\r\n"
    b'To: Bob <bob@example.com>, carol@example.com,\r\n\t"Dan D." <dan@example.com>\r\nCc: list@lists.example.org\r\n'
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and the report for\r\n November\r\n"
    b"Message-ID: <4C7D1A@laptop.example.org>\r\n"
    b"In-Reply-To: <abc@example.com>\r\nReferences: <abc@example.com> <def@example.com>\r\nMIME-Version: 1.0\r\n"
    b"User-Agent: Mozilla Thunderbird\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
)
LINE = b"The quick brown fox jumps over the lazy dog, again and  again.\r\n"


def best(work: Callable[[], object], times: int) -> float:
    """Milliseconds of CPU a call, the best of five rounds."""
    rounds = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - began) * 1000 / times)
    return min(rounds)


def main() -> None:
    private, seed = generate_private_key(65537, 2048), Ed25519PrivateKey.generate()
    rsa = SigningKey("r", "rsa-sha256", private)
    ed25519 = SigningKey("e", "ed25519-sha256", seed)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    print("| message | both | RSA alone | Ed25519 alone | dkimpy, RSA |")
    print("|---|---|---|---|---|")
    for octets, times in ((4096, 200), (65536, 50), (2**20, 5)):
        message = HEADER + LINE * (octets // len(LINE))

        def ours(*keys: SigningKey, message: bytes = message) -> None:
            signature_fields(message, keys, domain="example.org", seconds=1.8e9)

        def theirs(message: bytes = message) -> None:
            dkim.sign(message, b"s", b"example.org", pem, canonicalize=(b"relaxed", b"relaxed"))

        works = [lambda: ours(rsa, ed25519), lambda: ours(rsa), lambda: ours(ed25519), theirs]
        cells = [f"{best(work, times if work is not theirs else 5):.2f} ms" for work in works]
        print(f"| {octets // 1024} KB | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
