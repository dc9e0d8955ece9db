"""Signs what leaves: what users submit, what this server writes itself, and, as ARC has it, what it forwards.

A message is never lost or held up for want of a signature: it leaves unsigned, with a log line and a metric. SPF may
speak for it, and what a receiver makes of it is better than a message that waits on a key that a person must mend.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from mailpod import logs, metrics
from mailpod.dkim.keys import SigningKeys
from mailpod.dkim.sealing import Chain, arc_set
from mailpod.dkim.signing import signature_fields

_LARGE: Final = 256 * 1024  # octets whose hash takes longer than other sessions should wait for


class Signer:
    """One per pod."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: keys.py."""
        self.keys = SigningKeys(folder)

    async def sign(self, message: bytes, *, domain: str, owner: str, seconds: float, queue_id: str) -> bytes:
        """DKIM-Signature fields of `domain` for a message, or nothing.

        `owner` is the domain whose keys they are: an alias domain's selectors are CNAMEs to its (docs/dns-and-keys.md).
        """
        keys = self.keys.of(domain) or self.keys.of(owner)
        if not keys:
            metrics.DKIM_SIGNED.labels("no_key").inc()
            return b""
        try:
            if len(message) > _LARGE:
                fields = await asyncio.to_thread(signature_fields, message, keys, domain=domain, seconds=seconds)
            else:
                fields = signature_fields(message, keys, domain=domain, seconds=seconds)
        except Exception as error:
            metrics.DKIM_SIGNED.labels("failed").inc()
            logs.crash("dkim.failed", error, id=queue_id, domain=domain)
            return b""
        metrics.DKIM_SIGNED.labels("signed").inc()
        return fields

    async def seal(self, message: bytes, chain: Chain, *, domain: str, seconds: float, queue_id: str) -> bytes:
        """The fields of an ARC set by `domain`'s RSA key, the one that all verifiers know; or nothing."""
        key = next((key for key in self.keys.of(domain) if key.algorithm == "rsa-sha256"), None)
        if key is None:
            return b""
        try:
            if len(message) > _LARGE:
                return await asyncio.to_thread(arc_set, message, chain, key, domain=domain, seconds=seconds)
            return arc_set(message, chain, key, domain=domain, seconds=seconds)
        except Exception as error:
            logs.crash("arc.failed", error, id=queue_id, domain=domain)
            return b""
