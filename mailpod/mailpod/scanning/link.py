"""The pod's end of the socket to a scanner (frames.py).

- Nobody waits longer than `answer_seconds` for a scanner that is stuck, or for one that is gone.
- What cannot be its answer ends the connection: it is not asked again.
- The memory of a slice is used again only after the answer to it, whether or not anybody waited for that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

import msgspec

from mailpod.scanning.found import Found
from mailpod.scanning.frames import LENGTH_BYTES, Slice, decode_found, encode, framed, length
from mailpod.scanning.ring import Ring


class Promise:
    """Messages that were handed over."""

    __slots__ = ("_found", "_link", "count", "start")

    def __init__(self, link: Link, start: int, count: int) -> None:
        self._link = link
        self._found: asyncio.Future[list[Found] | None] = asyncio.get_running_loop().create_future()
        self.start = start
        self.count = count

    async def claim(self) -> list[Found] | None:
        """What was found. None where it was not begun yet, and is withdrawn, or where the scanner failed."""
        if not self._found.done():
            await asyncio.sleep(0)  # an answer may be there that the loop had no time to read
        if not self._found.done() and not self._link.works_on(self):
            self.withdraw()
        return None if self._found.cancelled() else await self._found

    def withdraw(self) -> None:
        """Nobody wants it any more."""
        if self._found.cancel():
            self._link.withdraw(self)

    @property
    def wanted(self) -> bool:
        return not self._found.done()

    def keep(self, found: list[Found] | None) -> None:
        if self.wanted:
            self._found.set_result(found)


class Link(asyncio.Protocol):
    """To one process. `over` is done when the connection is: with what was wrong, if anything was."""

    def __init__(self, ring: Ring, *, answer_seconds: float, idle_seconds: float) -> None:
        self._ring = ring
        self._answer_seconds = answer_seconds
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._buffer = bytearray()
        self._promises: deque[Promise] = deque()
        self._ready = False
        self._wrong = "it ended"
        self.over: asyncio.Future[str] = self._loop.create_future()

    def offer(self, messages: Sequence[bytes]) -> Promise | None:
        """Hand them over; None: not now."""
        if not self._ready or self._transport is None:
            return None
        start = self._ring.put(messages)
        if start is None:
            return None
        promise = Promise(self, start, len(messages))
        self._promises.append(promise)
        self._transport.write(framed(encode(Slice(start, [*map(len, messages)]))))
        if len(self._promises) == 1:
            self._wait()
        return promise

    def works_on(self, promise: Promise) -> bool:
        return bool(self._promises) and self._promises[0] is promise

    def withdraw(self, promise: Promise) -> None:
        self._ring.withdraw(promise.start)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (payload := self._frame()) is not None:
                self._answer(payload)
        except (msgspec.MsgspecError, _NoAnswer, UnicodeDecodeError):
            self._end("no answer")
        else:
            self._wait()

    def _frame(self) -> bytes | None:
        end = LENGTH_BYTES + length(self._buffer)
        if len(self._buffer) < max(end, LENGTH_BYTES):
            return None
        payload = bytes(self._buffer[LENGTH_BYTES:end])
        del self._buffer[:end]
        return payload

    def _answer(self, payload: bytes) -> None:
        if not self._ready:
            if payload:
                raise _NoAnswer
            self._ready = True
            return
        if not self._promises:
            raise _NoAnswer
        promise = self._promises[0]
        if promise.wanted:
            found = decode_found(payload)
            if len(found) != promise.count:
                raise _NoAnswer
            promise.keep(found)
        self._promises.popleft()
        self._ring.release()

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up()
        self._transport = None
        if not self.over.done():
            self.over.set_result(self._wrong)

    def close(self) -> None:
        """It is not needed any more."""
        self._end("")

    def _end(self, wrong: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._wrong = wrong
            self._give_up()
            self._transport.abort()

    def _give_up(self) -> None:
        self._ready = False
        if self._timer is not None:
            self._timer.cancel()
        for promise in self._promises:
            promise.keep(None)
        self._promises.clear()

    def _wait(self) -> None:
        """For what is due next: an answer, or that it is needed again."""
        if self._timer is not None:
            self._timer.cancel()
        idle = self._ready and not self._promises
        self._timer = self._loop.call_later(
            self._idle_seconds if idle else self._answer_seconds, self._end, "" if idle else "late"
        )


class _NoAnswer(Exception):
    """It is none to what was asked."""
