"""The 16 Secrets with a server's certificates and DKIM keys (OPERATOR.md rule 35): names of files, and what is in them.

    example.org.crt, example.org.key                     what TLS serves
    mp20261123r._domainkey.example.org.dkim              a DKIM key, PKCS #8 in PEM
    example.org.dkim.json                                which pair is in use, since when (dkim.py)

- A domain's files are always in the same Secret. Everything here is pure; hostkeys.py reads and writes.
- What cannot be understood is kept as it is: these Secrets are the only place where DKIM keys are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mailoperator.build import names
from mailoperator.certificates import TlsPair
from mailoperator.dkim import DamagedKeys, KeyPair, dump_state, load_state
from mailoperator.model import MailDomain

Raw: TypeAlias = dict[str, Any]
Files: TypeAlias = Mapping[str, bytes]

CAPACITY: Final = 1_000_000
"""Bytes of values and names in one Secret. The API server's limit is 1 MiB (1,048,576) of values."""
_LONGEST_LABEL: Final = 200  # of the 253 characters that a Secret's key may have
STATE: Final = ".dkim.json"  # of the file that says which pair is in use
_DKIM: Final = ".dkim"
_DOMAINKEY: Final = "._domainkey."


@dataclass(frozen=True, slots=True)
class DomainKeys:
    """All that is kept for a domain."""

    tls: TlsPair | None = None
    dkim: tuple[KeyPair, ...] = ()
    left: float | None = None
    """Since when no MailDomain has the domain, in epoch seconds."""


def bucket_of(domain: str) -> int:
    """Which of the Secrets a domain (A-labels) is in. It never changes."""
    return hashlib.sha256(domain.encode()).digest()[0] % names.KEY_SECRETS


def label_of(domain: str) -> str:
    """What a domain's files are named by: itself, unless it is too long for a Secret's key. No domain has a `_`."""
    if len(domain) <= _LONGEST_LABEL:
        return domain
    return f"{domain[:160]}_{hashlib.sha256(domain.encode()).hexdigest()[:32]}"


def by_label(data: Files) -> dict[str, dict[str, bytes]]:
    """A Secret's files, by what they are named by; files of no known kind are under ''."""
    found: dict[str, dict[str, bytes]] = {}
    for name, content in data.items():
        found.setdefault(_label_in(name), {})[name] = content
    return found


def _label_in(name: str) -> str:
    for suffix in (".crt", ".key", STATE):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    if name.endswith(_DKIM) and _DOMAINKEY in name:
        return name.removesuffix(_DKIM).partition(_DOMAINKEY)[2]
    return ""


def read(label: str, files: Files) -> DomainKeys:
    """What the files of a domain hold. Raises DamagedKeys, where DKIM keys are there and cannot be understood."""
    certificate, key = files.get(f"{label}.crt"), files.get(f"{label}.key")
    tls = TlsPair(certificate, key) if certificate and key else None
    ending = f"{_DOMAINKEY}{label}{_DKIM}"
    private = {name.removesuffix(ending): content for name, content in files.items() if name.endswith(ending)}
    state = files.get(f"{label}{STATE}")
    if state is None:
        if private:
            raise DamagedKeys(f"{label}{STATE} is missing")
        return DomainKeys(tls)
    return DomainKeys(tls, *load_state(state, private))


def written(label: str, keys: DomainKeys) -> dict[str, bytes]:
    """The files of a domain; the same keys give the same files."""
    files: dict[str, bytes] = {}
    if keys.tls:
        files |= {f"{label}.crt": keys.tls.certificate, f"{label}.key": keys.tls.key}
    for pair in keys.dkim:
        for selector, private in zip(pair.selectors, (pair.rsa, pair.ed25519), strict=True):
            files[f"{selector}{_DOMAINKEY}{label}{_DKIM}"] = private
    if keys.dkim:
        files[f"{label}{STATE}"] = dump_state(keys.dkim, keys.left)
    return files


def size(files: Files) -> int:
    return sum(len(name) + len(content) for name, content in files.items())


def fitting(groups: Mapping[str, Files], first: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
    """The Secret's files, and the labels that there was no room for: `first` go first, then the others by name."""
    data: dict[str, bytes] = {}
    refused: list[str] = []
    room = CAPACITY
    for label in [*first, *sorted(groups.keys() - set(first))]:
        needed = size(groups[label])
        if needed > room:
            refused.append(label)
            continue
        room -= needed
        data |= groups[label]
    return data, refused


def decode(secret: Raw | None) -> dict[str, bytes]:
    """The files in a Secret. Raises ValueError for what is not base64, which no API server lets in."""
    return {name: base64.b64decode(text) for name, text in ((secret or {}).get("data") or {}).items()}


def build_key_secret(host: MailDomain, number: int, data: Files) -> Raw:
    """One of a server's key Secrets."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.metadata(host, names.key_secret(host, number)),
        "type": "Opaque",
        "data": {name: base64.b64encode(data[name]).decode() for name in sorted(data)},
    }
