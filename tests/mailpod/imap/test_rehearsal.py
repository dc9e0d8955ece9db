"""What is run before there is a client is what a client's SELECT runs, and leaves no trace."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from mailpod.clock import SystemClock
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


async def test_nothing_is_counted_or_logged(capfd: pytest.CaptureFixture[str]) -> None:
    before = counted()
    await rehearse(SystemClock())
    assert counted() == before
    assert capfd.readouterr() == ("", "")


async def test_it_selects_a_mailbox_often_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Seen(View):
        def poll(self, allow_expunge: bool, tell_flags: bool = True) -> list[bytes]:
            seen.append(self.exists)
            return super().poll(allow_expunge, tell_flags)

    monkeypatch.setattr(select, "View", Seen)
    await rehearse(SystemClock())
    assert seen == [1] * len(seen)
    assert len(seen) > 8  # PEP 659: how often CPython 3.11 runs code before it makes it quicker
