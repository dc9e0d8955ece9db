"""Fixtures of the SMTP tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mailpod.support import make_certificate

from mailoperator import dkim as operator_dkim
from mailoperator import keysecrets
from mailoperator.keysecrets import DomainKeys
from mailpod.dkim.signer import Signer
from mailpod.net.tls import TlsContexts


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsContexts]:
    yield TlsContexts([make_certificate(tmp_path_factory.mktemp("tls"), "mx.example.com")])


@pytest.fixture(scope="session")
def pair() -> operator_dkim.KeyPair:
    return dataclasses.replace(operator_dkim.make([], 1_700_000_000), used=1.0)


@pytest.fixture
def signer(tmp_path: Path, pair: operator_dkim.KeyPair) -> tuple[Signer, dict[str, str]]:
    """example.com's keys, and their records."""
    folder = tmp_path / "03"
    folder.mkdir()
    for name, content in keysecrets.written("example.com", DomainKeys(dkim=(pair,))).items():
        (folder / name).write_bytes(content)
    return Signer(tmp_path), pair.records()
