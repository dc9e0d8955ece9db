from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from tests.mailpod.pop3.dialogue import World, make_world
from tests.mailpod.support import make_certificate

from mailpod.config import CertificateFiles


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()
    return policy


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    certificate, key = make_certificate(Path(tmp_path_factory.mktemp("tls")), "mail.example")
    return CertificateFiles(certificate=certificate, key=key)


@pytest.fixture
async def world(files: CertificateFiles) -> AsyncIterator[World]:
    world = await make_world(files)
    yield world
    await world.end()
