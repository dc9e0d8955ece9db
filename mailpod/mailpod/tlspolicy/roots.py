"""The authorities that certificates of strangers may be of: the system's, or those of a file."""

from __future__ import annotations

import re
import ssl
import warnings
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import Store

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


class NoRoots(Exception):
    """There is no authority to trust: nothing can be verified."""


class Roots:
    """Read at the first use, and kept. `file` is PEM; without it the system's."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._store: Store | None = None

    def store(self) -> Store:
        """Raises NoRoots."""
        if self._store is None:
            self._store = Store(_certificates(self._file))
        return self._store

    def context(self) -> ssl.SSLContext:
        """For HTTPS, which verifies in the handshake. Raises OSError."""
        return ssl.create_default_context(cafile=self._file)


def _certificates(file: Path | None) -> list[x509.Certificate]:
    path = file or Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    found: list[x509.Certificate] = []
    try:
        blocks = _PEM.findall(path.read_bytes())
    except OSError as error:
        raise NoRoots(f"{path}: {error.strerror}") from None
    for block in blocks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # of a root's own serial number
            try:
                found.append(x509.load_pem_x509_certificate(block))
            except ValueError:
                continue  # one that cannot be read is one that nothing leads to
    if not found:
        raise NoRoots(f"{path} has no certificate in it")
    return found
