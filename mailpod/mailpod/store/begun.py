"""A commit whose messages are written while its first line is still being found out: on a folder, by a thread.

- Nothing is at the key before all of it is written and synced. What was begun and not completed leaves no file, and is
  read by no thread any more, once `discard` has returned.
- The line gets room that is set aside for it, and blanks fill the rest (FORMAT.md). Where the room is too little, or
  anything went wrong, the object is written as any other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from operator import is_

from .objects import Buffer, ObjectStore
from .temporary import Temporary, storage_errors


def begin(objects: ObjectStore, data: Sequence[Buffer], room: int) -> Begun | None:
    """Begin an object that will end with `data`; None where that is no help."""
    found: Callable[[Sequence[Buffer], int], Begun] | None = getattr(objects, "begin", None)
    return None if found is None else found(data, room)


class Begun:
    """`data` on its way into a file, behind `room` octets. To be used in the loop's thread."""

    def __init__(self, threads: Executor, make: Callable[[], Temporary], data: Sequence[Buffer], room: int) -> None:
        self._make, self._data, self._room = make, data, room
        written = asyncio.get_running_loop().run_in_executor(threads, self._write)
        self._written: asyncio.Future[Temporary] | None = written  # None: it was taken

    def _write(self) -> Temporary:
        temporary = self._make()
        try:
            write_at(temporary, self._room, self._data)
            with storage_errors():
                os.fdatasync(temporary.fd)  # so that little is left to wait for
        except BaseException:
            temporary.discard()
            raise
        return temporary

    def completed(self, line: bytes, body: Sequence[Buffer]) -> Completed | None:
        """The whole object with its first line; None where that has no room, or another `body` was begun."""
        if len(line) > self._room or len(body) != len(self._data) or not all(map(is_, body, self._data)):
            return None
        return Completed([line[:-1].ljust(self._room - 1) + b"\n", *body], self)

    async def take(self) -> Temporary | None:
        """The file, all written but the line: the caller's to discard. None where writing it failed, or the second
        time."""
        written, self._written = self._written, None
        if written is None:
            return None
        try:
            await asyncio.wait([written])
        except asyncio.CancelledError:
            written.add_done_callback(_drop)
            raise
        return None if written.exception() is not None else written.result()

    async def discard(self) -> None:
        """What nobody took."""
        temporary = await self.take()
        if temporary is not None:
            temporary.discard()


class Completed(list[Buffer]):
    """An object's octets, of which all but the first piece are on their way."""

    def __init__(self, data: Sequence[Buffer], begun: Begun) -> None:
        super().__init__(data)
        self.begun = begun


def write_at(temporary: Temporary, place: int, data: Sequence[Buffer]) -> None:
    """Raises StorageError."""
    with storage_errors():
        os.lseek(temporary.fd, place, os.SEEK_SET)
    temporary.write(data)


def _drop(written: asyncio.Future[Temporary]) -> None:
    if not written.cancelled() and written.exception() is None:
        written.result().discard()
