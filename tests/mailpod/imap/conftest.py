from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from tests.mailpod.imap.dialogue import MakeWorld, World, end_world, make_world
from tests.mailpod.support import make_certificate

from mailpod.config import CertificateFiles


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    chain, key = make_certificate(tmp_path_factory.mktemp("imap-tls"), "mail.example")
    return CertificateFiles(certificate=chain, key=key)


@pytest.fixture
async def make() -> AsyncIterator[MakeWorld]:
    """A world with settings of its own."""
    made: list[World] = []

    async def new(files: CertificateFiles | None = None, **settings: Any) -> World:
        made.append(await make_world(files, **settings))
        return made[-1]

    yield new
    for world in made:
        await end_world(world)


@pytest.fixture
async def world(make: MakeWorld) -> World:
    return await make()
