"""The HTTPS request for a domain's MTA-STS policy (RFC 8461 §3.3)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver
from mailpod.tlspolicy.failure import CannotFetch
from mailpod.tlspolicy.roots import Roots
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.sts import StsPolicy, parse_policy

_MOST_ADDRESSES: Final = 8


class Fetcher:
    """Asks mta-sts.<domain>. `port` is another than 443 only in tests."""

    def __init__(self, settings: TlsPolicySettings, resolver: Resolver, roots: Roots, *, port: int = 443) -> None:
        self._settings, self._resolver, self._roots, self._port = settings, resolver, roots, port
        self._slots = asyncio.Semaphore(settings.fetch_parallel)

    async def policy(self, domain: str) -> StsPolicy:
        """Raises CannotFetch."""
        try:
            async with self._slots, asyncio.timeout(self._settings.fetch_seconds):
                text = await self._text(domain)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError):
            raise CannotFetch("sts-webpki-invalid", f"the certificate of mta-sts.{domain} is not good") from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            raise CannotFetch("sts-policy-fetch-error", f"mta-sts.{domain} does not answer") from None
        try:
            return parse_policy(text)
        except ValueError as error:
            raise CannotFetch("sts-policy-invalid", str(error)) from None

    async def _text(self, domain: str) -> bytes:
        # a connection of its own: what was shown to one domain's certificate says nothing of another's
        connector = aiohttp.TCPConnector(
            resolver=Names(self._resolver), ssl=self._roots.context(), force_close=True, use_dns_cache=False
        )
        url = f"https://mta-sts.{domain}:{self._port}/.well-known/mta-sts.txt"
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False) as session,
            # RFC 8461 §3.3: 3xx MUST NOT be followed, and caches MUST NOT be used
            session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status != 200:
                raise CannotFetch("sts-policy-fetch-error", f"mta-sts.{domain} answers {answer.status}")
            if answer.content_type != "text/plain":  # RFC 8461 §3.2: not what a user of that host may upload
                raise CannotFetch("sts-policy-invalid", f"mta-sts.{domain} answers with {answer.content_type}")
            return await self._body(answer, domain)

    async def _body(self, answer: aiohttp.ClientResponse, domain: str) -> bytes:
        text = bytearray()
        async for piece in answer.content.iter_any():
            text += piece
            if len(text) > self._settings.fetch_bytes:
                raise CannotFetch("sts-policy-invalid", f"the policy of mta-sts.{domain} is too long")
        return bytes(text)


class Names(AbstractResolver):
    """Ours, for aiohttp."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await self._resolver.addresses(host)
        except DnsError as error:
            raise OSError(str(error)) from None
        return [_result(host, port, address) for address in found.records[:_MOST_ADDRESSES]]

    async def close(self) -> None:
        """Nothing of ours is open."""


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
