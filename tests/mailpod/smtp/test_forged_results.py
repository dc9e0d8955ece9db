"""RFC 8601 §5: an Authentication-Results field that comes in and bears our name is taken out, whatever way it comes."""

from __future__ import annotations

from typing import Literal

import pytest
from tests.mailpod.smtp.server import PASSWORD, plain, serving

ALICE = "alice@example.com"
FORGED = b'AUTHENTICATION-results:\r\n\t"MX.example.com" 1; dkim=pass\r\n\theader.d=bank.example\r\n'
OTHERS = b"Authentication-Results: relay.example; spf=pass smtp.mailfrom=b.example\r\n"
LETTER = OTHERS + b"From: alice@example.com\r\nSubject: x\r\n\r\nAuthentication-Results: mx.example.com; said\r\n"


@pytest.mark.parametrize("role", ["mx", "submission", "lmtp"])
async def test_ours_goes_and_others_stay(role: Literal["mx", "submission", "lmtp"]) -> None:
    async with serving(role, lmtp={"networks": ["127.0.0.0/8"]}) as server, server.client() as client:
        await client.reply()
        await client.say(f"{'LHLO' if role == 'lmtp' else 'EHLO'} client.example")
        if role == "submission":
            assert (await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}"))[:3] == "235"
        assert (await client.message(FORGED + LETTER, ALICE, sender=ALICE))[:3] == "250"
        [stored] = await server.inbox(ALICE)
        assert b"bank.example" not in stored
        header, _, body = stored.partition(b"\r\n\r\n")
        assert OTHERS in header + b"\r\n" and body == b"Authentication-Results: mx.example.com; said\r\n"
