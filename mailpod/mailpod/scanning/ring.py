"""Where messages lie that the scanner reads: memory that both processes see, filled in a circle.

- What was put there stays as it is until it is released; what was put first is released first.
- All of one `put` lies in one piece, behind an octet that says whether it is still wanted.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Sequence
from typing import Final

WANTED: Final = 0
WITHDRAWN: Final = 1


class Ring:
    """`size` octets, which the descriptor `fd` is of."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fd = os.memfd_create("mailpod-scanner")
        os.ftruncate(self.fd, size)
        self._memory = mmap.mmap(self.fd, size)
        self._next = 0
        self._held: deque[int] = deque()  # where that begins which is not released

    def put(self, pieces: Sequence[bytes]) -> int | None:
        """Where they lie from now on; None where there is no room."""
        start = self._place(1 + sum(map(len, pieces)))
        if start is None:
            return None
        memory, at = self._memory, start + 1
        memory[start] = WANTED
        for piece in pieces:
            end = at + len(piece)
            memory[at:end] = piece
            at = end
        self._next = at
        self._held.append(start)
        return start

    def _place(self, octets: int) -> int | None:
        if not self._held:
            return 0 if octets <= self.size else None
        first = self._held[0]
        if self._next <= first:
            return self._next if octets <= first - self._next else None
        if octets <= self.size - self._next:
            return self._next
        return 0 if octets <= first else None

    def withdraw(self, start: int) -> None:
        """Nobody wants to know any more what lies there."""
        self._memory[start] = WITHDRAWN

    def release(self) -> None:
        """What was put first is not read any more."""
        self._held.popleft()

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)
