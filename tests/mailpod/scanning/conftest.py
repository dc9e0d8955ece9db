from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import uvloop

from mailpod.config import ScannerSettings
from mailpod.scanning.scanner import COMMAND, Scanner

MakeScanner = Callable[..., Scanner]


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def make() -> AsyncIterator[MakeScanner]:
    """A scanner with settings, and perhaps a process, of its own."""
    made: list[Scanner] = []

    def new(command: Sequence[str] = COMMAND, **settings: Any) -> Scanner:
        made.append(Scanner(ScannerSettings(**{"answer_seconds": 60} | settings), command))
        return made[-1]

    yield new
    for scanner in made:
        await scanner.close()
