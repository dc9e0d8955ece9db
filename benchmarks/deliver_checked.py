"""Delivery with senders checked and not: `python -m benchmarks.deliver_checked`.

The rows of benchmarks.deliver, with a letter that is signed (RSA, 2048 bits) and comes from where its SPF record says.
A checked pod asks unbound on this machine; of each row a stored letter must say that SPF, DKIM and DMARC passed. The
peers check nothing. Every system gets the same octets.
"""

from __future__ import annotations

import base64
import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.harness.imap import Imap
from tests.harness.target import Account
from tests.operator import unbound

from benchmarks import deliver
from benchmarks.common import Options, Table, main
from benchmarks.raw import Wrong
from benchmarks.systems import KINDS, OnFolder, OnSeaweedFS, System
from mailpod.dkim.signing import SigningKey, signature_fields

SENDER = "elsewhere.test"
PASSED = (b"spf=pass", b"dkim=pass", b"dmarc=pass")


@cache
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def records() -> list[str]:
    public = base64.b64encode(key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    pieces = " ".join(f'"{part}"' for part in ("v=DKIM1; p=", public[:200], public[200:]))
    return [
        f'{SENDER}. TXT "v=spf1 ip4:127.0.0.1 -all"',
        f'_dmarc.{SENDER}. TXT "v=DMARC1; p=reject"',
        f"bench._domainkey.{SENDER}. TXT {pieces}",
    ]


def letter(size: int) -> bytes:
    """About `size` octets, signed, lines ending with LF as smtp-source wants its file."""
    rng = random.Random(size)
    words = [rng.randbytes(4).hex().encode() for _ in range(500)]
    body = b"".join(b" ".join(rng.choices(words, k=8)) + b"\r\n" for _ in range(max(1, (size - 1000) // 73)))
    head = (
        f"From: Bench <bench@{SENDER}>\r\nTo: someone@example.test\r\nSubject: a letter\r\n"
        f"Date: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{size}@{SENDER}>\r\n\r\n"
    ).encode()
    keys = [SigningKey("bench", "rsa-sha256", key())]
    signed = signature_fields(head + body, keys, domain=SENDER, seconds=time.time())
    return (signed + head + body).replace(b"\r\n", b"\n")


@cache
def letters() -> dict[deliver.Load, Path]:
    home = Path(tempfile.mkdtemp(prefix="mailpod-letters-"))
    found = {load: home / f"{load.size}.eml" for load in deliver.LOADS}
    for load, path in found.items():
        path.write_bytes(letter(load.size))
    return found


class _Checking(OnFolder):
    """Its pod is started again with settings that local mode has no field for: clients on this machine are checked."""

    def __init__(self, accounts: Sequence[Account], profile: Path | None = None) -> None:
        super().__init__(accounts, profile)
        self.name += ", checked"
        self.stack = ExitStack()

    def start(self) -> None:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="mailpod-unbound-")))
        self.resolver = self.stack.enter_context(unbound.running(folder, records()))
        super().start()
        config = self.running.data / ".local" / "pod-0.json"
        settings = json.loads(config.read_text())
        settings["authres"] = {"unchecked_networks": []}
        settings["dns"] = {"resolver": self.resolver}
        config.write_text(json.dumps(settings))
        self.running.wait_restarted(self.running.kill_pod())

    def stop(self) -> None:
        super().stop()
        self.stack.close()

    def restart(self) -> None:
        raise NotImplementedError("a checked pod has no other life")


class FolderChecked(_Checking):
    """On a folder."""


class SeaweedFSChecked(_Checking, OnSeaweedFS):
    """On SeaweedFS."""


def checked(system: System, options: Options, table: Table) -> None:
    deliver.deliver(system, options, table, letters())
    if isinstance(system, _Checking):
        with Imap(system.target(), system.target().accounts[0]) as imap:
            imap.ok("SELECT INBOX")
            answer = imap.ok("FETCH * BODY.PEEK[HEADER.FIELDS (Authentication-Results)]")
        said = b"".join(literal for response in answer.untagged for literal in response.literals)
        if not all(word in said for word in PASSED):
            raise Wrong(f"the checks say {said!r}")


if __name__ == "__main__":
    KINDS["folder-checked"] = FolderChecked
    KINDS["seaweedfs-checked"] = SeaweedFSChecked
    main(checked, systems="folder,folder-checked,seaweedfs,seaweedfs-checked,peers", ratios=True)
