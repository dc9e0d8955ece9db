"""What one command handed over to the scanner while the rest of it was still on its way.

- A message is known again by being the same object: nothing is compared, and one that was changed is another.
- What the scanner has not begun when it is needed is found out here, from the last backwards, while it goes on with the
  first: both are busy until all is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mailpod.metrics import SCANNED

if TYPE_CHECKING:
    from mailpod.scanning.found import Found
    from mailpod.scanning.link import Promise
    from mailpod.scanning.scanner import Scanner

FEW: Final = 8
"""Fewer messages are not worth the way there and back."""
_SLICE: Final = 16  # messages that are handed over and answered together
_SLICE_BYTES: Final = 256 << 10  # or so many octets and a message, so that the worst headers take half a second


class Ahead:
    """Of one command; nothing of it is for the next."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._seen = 0
        self._promises: list[tuple[Promise, list[bytes]]] = []

    def see(self, messages: Sequence[bytes]) -> None:
        """All of its messages so far."""
        for some in self._slices(messages):
            promise = self._scanner.offer(some)
            if promise is not None:
                self._promises.append((promise, some))

    def _slices(self, messages: Sequence[bytes]) -> Iterator[list[bytes]]:
        most, some, octets = self._scanner.settings.message_bytes, list[bytes](), 0
        for at in range(self._seen, len(messages)):
            if len(messages[at]) > most:
                continue
            some.append(messages[at])
            octets += len(messages[at])
            if len(some) == _SLICE or octets >= _SLICE_BYTES:
                yield some
                self._seen, some, octets = at + 1, [], 0
        if len(some) >= FEW:
            yield some
            self._seen = len(messages)

    async def find(self, messages: Sequence[bytes], here: Callable[[bytes], Awaitable[Found]]) -> list[Found]:
        """What there is to find of them; `here` finds it where the scanner does not."""
        wanted = {id(message): message for message in messages}
        found: dict[int, Found] = {}

        async def find_here(keys: Iterable[int]) -> None:
            for key in keys:
                found[key] = await here(wanted[key])

        handed = [(promise, [*map(id, some)]) for promise, some in self._promises]
        asked = [(promise, keys) for promise, keys in handed if not wanted.keys().isdisjoint(keys)]
        await find_here(wanted.keys() - {key for _, keys in asked for key in keys})
        scanned = 0
        for promise, keys in reversed(asked):
            answer = await promise.claim()
            if answer is None:
                await find_here(key for key in keys if key in wanted)
            else:
                found.update(zip(keys, answer, strict=True))
                scanned += sum(key in wanted for key in keys)
        SCANNED.labels("scanner").inc(scanned)
        SCANNED.labels("loop").inc(len(wanted) - scanned)
        return [found[id(message)] for message in messages]

    def drop(self) -> None:
        """Nobody needs any of it any more."""
        for promise, _ in self._promises:
            promise.withdraw()
