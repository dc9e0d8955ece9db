"""A policy against a peer that really speaks TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.pki import Pair, authority, issue
from tests.harness.zone import Zone

from mailpod.clock import SystemClock
from mailpod.tlspolicy.chain import chain_of
from mailpod.tlspolicy.policies import make_policies
from mailpod.tlspolicy.policy import Policy, opportunistic
from mailpod.tlspolicy.settings import TlsPolicySettings

BELOW = authority("Intermediate", authority())


@asynccontextmanager
async def shaken(pair: Pair, policy: Policy, folder: Path) -> AsyncIterator[ssl.SSLObject]:
    """The client's side of a handshake with who has `pair`."""
    names: list[str | None] = []
    context = pair.server(folder)
    context.sni_callback = lambda _, name, __: names.append(name)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=policy.context("mx.test"), server_hostname=policy.sni("mx.test")
    )
    assert names == ["mx.test"]
    yield writer.get_extra_info("ssl_object")
    writer.close()
    server.close()


async def test_anybodys_certificate_will_do_without_a_policy(tmp_path: Path) -> None:
    policy = opportunistic("test")
    async with shaken(issue(None, "whoever", days=-1), policy, tmp_path) as connection:
        assert policy.check("mx.test", connection) is None


async def test_the_whole_chain_is_seen(tmp_path: Path) -> None:
    pair = issue(BELOW, "mx.test")
    async with shaken(pair, opportunistic("test"), tmp_path) as connection:
        assert chain_of(connection) == pair.chain


async def test_a_bad_certificate_is_told_after_the_handshake(tmp_path: Path) -> None:
    settings = TlsPolicySettings(ca_file=BELOW.write(tmp_path)[0])
    policy = make_policies(settings, Zone().resolver(), SystemClock()).fixed("mx.test", verify=True)
    async with shaken(issue(BELOW, "mx.test"), policy, tmp_path) as connection:
        assert policy.check("mx.test", connection) is None
    async with shaken(issue(None, "mx.test"), policy, tmp_path) as connection:
        failure = policy.check("mx.test", connection)
        assert failure is not None and failure.result == "certificate-not-trusted"
