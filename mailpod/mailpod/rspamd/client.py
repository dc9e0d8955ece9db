"""The requests to rspamd, over kept connections. No answer is no opinion and nothing learned, never an exception."""

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
        answer = await self._post(f"{(self._settings.url or '').rstrip('/')}/checkv2", content, headers)
        if answer is None:
            return None
        try:
            if answer[0] != 200:
                raise BadAnswer(f"status {answer[0]}")
            return parse_answer(answer[1])
        except BadAnswer as error:
            _failed(str(error))
            return None

    async def _post(self, url: str, content: bytes, headers: Sequence[tuple[str, str]]) -> tuple[int, bytes] | None:
        """Status and body; None where there is no whole answer."""
        import aiohttp

        most = self._settings.max_answer_bytes
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._settings.timeout)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        try:
            async with self._session.post(url, data=content, headers=headers, allow_redirects=False) as answer:
                data = await answer.content.read(most + 1)
                while not answer.content.at_eof() and len(data) <= most:
                    data += await answer.content.read(most)
                if len(data) > most:
                    _failed("an answer that is too long")
                    return None
                return answer.status, data
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            _failed(type(error).__name__)
            return None

    async def learn(self, content: bytes, *, spam: bool) -> bool:
        """Teach the controller a message; False where it does not take it now. What it knew is taken."""
        url = f"{(self._settings.learn_url or '').rstrip('/')}/{'learnspam' if spam else 'learnham'}"
        answer = await self._post(url, content, [])
        if answer is None:
            return False
        if answer[0] // 100 == 2 or b"already learned" in answer[1]:
            return True
        logs.event("rspamd.not_learned", level="warning", status=answer[0])
        return False

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _failed(reason: str) -> None:
    logs.event("rspamd.failed", level="warning", reason=reason)
