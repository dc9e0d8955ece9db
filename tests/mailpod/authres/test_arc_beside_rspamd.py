"""Chains that we seal, as Debian's rspamd sees them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.harness import rspamd
from tests.mailpod.authres.test_arc import HOPS, MAIL, RECORD, sealed
from tests.operator import unbound

from mailpod.rspamd.client import Rspamd
from mailpod.rspamd.protocol import request_headers
from mailpod.rspamd.settings import RspamdSettings

CONFIG = 'arc {} milter_headers { use = ["authentication-results"]; }'
ZONE = [f'sel._domainkey.{hop}. 60 IN TXT "{RECORD[:200]}" "{RECORD[200:]}"' for hop in HOPS]


@pytest.mark.slow
async def test_rspamd_finds_our_seals_as_we_do(tmp_path: Path) -> None:
    broken = (await sealed(MAIL, *HOPS[:2])).replace(b"Hi.", b"Hi!")
    letters = {f"{count} hops": await sealed(MAIL, *HOPS[:count]) for count in (1, 2, 3)}
    letters |= {"changed": broken, "sealed as broken": await sealed(broken, HOPS[2])}
    with (
        unbound.running(tmp_path, ZONE, zones=("example.",)) as resolver,
        rspamd.running(filters="dkim", plugins=("arc", "milter_headers"), resolver=resolver, more=CONFIG) as found,
    ):
        client = Rspamd(RspamdSettings(url=found.url))
        said = {}
        for what, content in letters.items():
            headers = request_headers(
                client="192.0.2.1",
                helo="x",
                sender="",
                recipients=["x@far.example"],
                queue_id="1",
                server="mx.example.com",
            )
            opinion = await client.ask(content, headers)
            assert opinion is not None
            match = re.search(rb"\barc=(\w+)", opinion.fields)
            said[what] = match[1].decode() if match else opinion.fields.decode()
        await client.close()
    # `reject` is its word for RFC 8617 §4.4's `fail`
    assert said == dict.fromkeys(letters, "pass") | {"changed": "reject", "sealed as broken": "reject"}
