"""A pod's own reports: from postmaster of its own domain, through the queue."""

from __future__ import annotations

import pytest
from tests.harness.zone import Zone
from tests.mailpod.smtp.server import Bucket, make_services

from mailpod.store.outbound import SpoolEntry
from mailpod.tlspolicy.policy import Policy


@pytest.mark.parametrize(
    ("asks", "recipient"),
    [("reports@far.example", "reports@far.example"), ("info@example.com", "alice@example.com")],
)
async def test_a_report_is_mail_from_postmaster(asks: str, recipient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    services = await make_services(Bucket())
    kept: list[tuple[SpoolEntry, bytes]] = []

    async def keep(entry: SpoolEntry, message: bytes) -> None:
        kept.append((entry, message))

    monkeypatch.setattr(services.spool, "accept", keep)
    zone = Zone(f'_smtp._tls.far.example TXT "v=TLSRPTv1; rua=mailto:{asks}"')
    monkeypatch.setattr(services.resolver, "_upstream", zone)
    services.tls_policies.record(Policy("far.example", "sts", mandatory=True), "mx.far.example", None)
    await services.tls_reports.flush()
    now = services.clock.now()
    monkeypatch.setattr(services.clock, "now", lambda: now + 2 * 86400, raising=False)
    await services.tls_reports.report_due()
    [(entry, message)] = kept
    assert (entry.sender, entry.recipients) == ("", (recipient,))
    assert message.startswith(b"From: postmaster@example.com\r\n")
