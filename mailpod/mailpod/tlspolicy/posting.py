"""A report's way to an https: address (RFC 8460 §5.4)."""

from __future__ import annotations

import aiohttp

from mailpod.dns.resolver import Resolver
from mailpod.tlspolicy.fetching import Names
from mailpod.tlspolicy.roots import Roots


async def post(url: str, packed: bytes, *, resolver: Resolver, roots: Roots, seconds: float) -> str:
    """ "" when it was taken, else why not."""
    try:
        connector = aiohttp.TCPConnector(resolver=Names(resolver), ssl=roots.context(), force_close=True)
        limit = aiohttp.ClientTimeout(total=seconds)
        headers = {"Content-Type": "application/tlsrpt+gzip"}
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=False, timeout=limit) as session,
            session.post(url, data=packed, headers=headers, allow_redirects=False) as answer,
        ):
            return "" if 200 <= answer.status < 300 else f"it answers {answer.status}"
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return type(error).__name__
