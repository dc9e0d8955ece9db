"""The requests to rspamd: one a message, over kept connections. No answer is no opinion, never an exception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod import logs
from mailpod.rspamd.protocol import BadAnswer, Opinion, parse_answer
from mailpod.rspamd.settings import RspamdSettings

if TYPE_CHECKING:
    import aiohttp


class Rspamd:
    """One a pod. Loads aiohttp at its first request."""

    def __init__(self, settings: RspamdSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    def wants(self, size: int) -> bool:
        """Whether a message of so many octets is shown to it."""
        return self._settings.url is not None and size <= self._settings.max_bytes

    async def ask(self, content: bytes, headers: Sequence[tuple[str, str]]) -> Opinion | None:
        """None: there is no answer just now."""
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._settings.timeout)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        url = f"{(self._settings.url or '').rstrip('/')}/checkv2"
        try:
            async with self._session.post(url, data=content, headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise BadAnswer(f"status {answer.status}")
                data = await answer.content.read(self._settings.max_answer_bytes + 1)
                while not answer.content.at_eof() and len(data) <= self._settings.max_answer_bytes:
                    data += await answer.content.read(self._settings.max_answer_bytes)
                if len(data) > self._settings.max_answer_bytes:
                    raise BadAnswer("an answer that is too long")
                return parse_answer(data)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            reason = str(error) if isinstance(error, BadAnswer) else type(error).__name__
            logs.event("rspamd.failed", level="warning", reason=reason)
            return None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
