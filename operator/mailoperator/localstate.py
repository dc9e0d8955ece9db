"""What local mode keeps beside the bucket, in DIR/.local: keys, the certificate, generated passwords, pods' settings.

The folder is 0700 and every file 0600; stores ignore it, so none of it is in the bucket. Each file is replaced in one
step, so that a pod or a killed run never meets half of one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mailoperator.certificate import is_good_for, self_signed
from mailpod.directory import new_signing_key

# no letter or digit that is taken for another one
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"


class StateError(Exception):
    """DIR/.local cannot be used; the text says why."""


class LocalState:
    """DIR/.local, held by one `mail-operator local` at a time."""

    def __init__(self, data: Path) -> None:
        """Make and lock it. Raises StateError."""
        self.path = data / ".local"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{error.filename}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateError(
                f"another mail-operator local is running on {data} (--data names another folder)"
            ) from None

    def close(self) -> None:
        """Let another run have it."""
        os.close(self._lock)

    def signing_key(self) -> bytes:
        """The key that directory entries are signed with, made at the first run: 32 bytes."""
        file = self.path / "signing.key"
        if not file.exists():
            self.write("signing.key", new_signing_key().hex() + "\n")
        try:
            key = bytes.fromhex(file.read_text())
        except ValueError:
            key = b""
        if len(key) != 32:
            raise StateError(f"{file} is not a signing key (without it a new one is made)")
        return key

    def hint_keys(self) -> Path:
        """The file with the key of the pods' hints, made at the first run."""
        file = self.path / "hints.keys"
        if not file.exists():
            self.write(file.name, f"0 {secrets.token_hex(32)}\n")
        return file

    def certificate(self, names: list[str]) -> tuple[Path, Path]:
        """A self-signed certificate for these names and addresses, and its key. Made again when the names change."""
        certificate, key = self.path / "tls.crt", self.path / "tls.key"
        if not (certificate.exists() and key.exists() and is_good_for(certificate.read_bytes(), names)):
            certificate_pem, key_pem = self_signed(names)
            self.write("tls.key", key_pem.decode())
            self.write("tls.crt", certificate_pem.decode())
        return certificate, key

    def generated_passwords(self, names: Iterable[str]) -> dict[str, str]:
        """Passwords made for Mailboxes that name none: the same at every run, also after one was away meanwhile."""
        known = self._json("passwords")
        made = {name: _new_password() for name in names if name not in known}
        if made:
            known |= made
            self.write("passwords", json.dumps(known, indent=1) + "\n")
        return known

    def verifiers(self) -> dict[str, str]:
        """argon2id hashes kept from the last run, by a fingerprint of what was hashed (passwords.py)."""
        return self._json("verifiers")

    def keep_verifiers(self, known: dict[str, str]) -> None:
        self.write("verifiers", json.dumps(known) + "\n")

    def write(self, name: str, text: str) -> Path:
        """Replace a file, 0600. `name` may have folders in it, which are made."""
        target = self.path / name
        temporary = target.with_name(f".{target.name}.new")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
        return target

    def _json(self, name: str) -> dict[str, str]:
        try:
            known = json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            known = None
        if not isinstance(known, dict):
            raise StateError(f"{self.path / name} is damaged (it should be a JSON object)")
        return {str(key): str(value) for key, value in known.items()}


def _new_password() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
