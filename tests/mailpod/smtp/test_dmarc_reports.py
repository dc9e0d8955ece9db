"""What came in a domain's name at the MX port is told to that domain, signed, with what was done about it."""

from __future__ import annotations

import email
import email.policy
import gzip
from dataclasses import replace

import dkim
import msgspec
import pytest
from tests.harness.zone import Zone
from tests.mailpod.authres.feedback import valid
from tests.mailpod.smtp.test_senders import ALICE, BOB, DAVE, ZONE, from_afar, mail

from mailpod.authres.counted import Seen
from mailpod.dkim.signer import Signer
from mailpod.store.daycounts import DMARC_PREFIX

RECORDS = (
    *(line for line in ZONE if "_dmarc.strict" not in line and "_dmarc.good" not in line),
    f'_dmarc.strict.example TXT "v=DMARC1; p=reject; rua=mailto:{BOB}"',
    f'_dmarc.good.example TXT "v=DMARC1; p=reject; rua=mailto:{BOB}"',
    'strict.example._report._dmarc.example.com TXT "v=DMARC1"',
)


async def test_a_day(monkeypatch: pytest.MonkeyPatch, signer: tuple[Signer, dict[str, str]]) -> None:
    async with from_afar(monkeypatch, Zone(*RECORDS)) as (server, client):
        services = server.services
        services.signer, records = signer
        reporter = services.dmarc_reports
        reporter._means = replace(reporter._means, resolver=services.resolver)
        for _ in range(2):
            assert (await client.message(mail("a@strict.example"), ALICE, sender="a@good.example")).startswith("550")
        assert (await client.message(mail("a@strict.example"), DAVE, sender="a@good.example")).startswith("250")
        assert (await client.message(mail("a@good.example"), ALICE, sender="a@good.example")).startswith("250")
        assert (await client.message(mail("a@careful.example"), ALICE, sender="a@good.example")).startswith("250")
        await reporter.flush()
        [count] = await server.bucket.list(DMARC_PREFIX)
        sender = await reporter._means.sender()
        assert sender is not None
        counted = msgspec.json.decode(await server.bucket.get(count.key), type=list[Seen])
        await reporter.send_day(sender, "2025-11-25", counted)
        await services.spool.idle()
        [report] = await server.inbox(BOB)  # good.example's place is elsewhere, and has not agreed

    def record(name: bytes, timeout: int = 5) -> str | None:
        return records.get(name.decode().removesuffix("._domainkey.example.com."))

    assert dkim.verify(report, dnsfunc=record)
    message = email.message_from_bytes(report, policy=email.policy.default)
    assert message["From"] == "postmaster@example.com"
    assert message["Subject"].startswith("Report Domain: strict.example Submitter: example.com Report-ID: <2025-11-25.")
    _, attached = message.iter_parts()
    root = valid(gzip.decompress(attached.get_content()))
    rows = [[element.text for element in row.iter() if element.text] for row in root.iter("row")]
    assert rows == [
        ["192.0.2.1", "1", "none", "fail", "fail", "local_policy"],
        ["192.0.2.1", "2", "reject", "fail", "fail"],
    ]
