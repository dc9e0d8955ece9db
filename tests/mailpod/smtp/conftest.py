"""Fixtures of the SMTP tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.mailpod.support import make_certificate

from mailpod.net.tls import TlsContexts


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsContexts]:
    yield TlsContexts([make_certificate(tmp_path_factory.mktemp("tls"), "mx.example.com")])
