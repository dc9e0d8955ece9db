from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop
from tests.mailpod.support import make_certificate

from mailpod.net.tls import TlsContexts


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()
    return policy


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "mail.example")


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> TlsContexts:
    return TlsContexts([certificate])
