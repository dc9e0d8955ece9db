"""What is run before there is a client is what a client's SELECT runs, and leaves no trace."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from tests.mailpod.imap.dialogue import World

from mailpod import metrics
from mailpod.imap.commands import select
from mailpod.imap.rehearsal import rehearse
from mailpod.imap.view import View


def counted() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All that we count and that is not 0; the interpreter counts its own."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if family.name.startswith("mailpod") and sample.value and not sample.name.endswith("_created")
    }


@pytest.fixture(autouse=True)
def uncounted() -> None:
    """As in a pod that has had no client; other tests had some."""
    for family in metrics.COMMANDS, metrics.COMMAND_SECONDS:
        family.clear()
    metrics.command_count.cache_clear()
    metrics.command_seconds.cache_clear()


async def test_nothing_is_counted_or_logged(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    before = counted()
    await rehearse(world.services)
    assert counted() == before
    assert capfd.readouterr() == ("", "")
    assert len(world.services.registry) == len(world.services.connections) == 0


async def test_clients_are_counted_from_the_first(world: World) -> None:
    await rehearse(world.services)
    await world.login(select="INBOX")
    select = {"protocol": "imap", "command": "SELECT"}
    assert REGISTRY.get_sample_value("mailpod_commands_total", {**select, "outcome": "ok"}) == 1
    assert REGISTRY.get_sample_value("mailpod_command_duration_seconds_count", select) == 1


async def test_it_selects_a_mailbox_often_enough(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Seen(View):
        def poll(self, allow_expunge: bool, tell_flags: bool = True) -> list[bytes]:
            seen.append(self.exists)
            return super().poll(allow_expunge, tell_flags)

    monkeypatch.setattr(select, "View", Seen)
    await rehearse(world.services)
    assert seen == [1] * len(seen)
    assert len(seen) > 8  # PEP 659: how often CPython 3.11 runs code before it makes it quicker
