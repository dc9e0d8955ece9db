"""A journal: small commits of one log, one after the other in a file `log/.journal` (FORMAT.md, "Journal"). Blocking.

- A record is there once all of it is in the file: what a crash left half written is no record, and is written over.
  Only the last can be half written, as a writer begins after the end of what is there.
- It is *sealed* once it is known to be synced. One that is not is checked against its checksum, and made durable, by
  whoever finds it; a sealed one that has suffered since stays where it is, for those who check the mail to find.
- The salt is the file's own and secret, so that no message can hold what is taken for a record.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mailpod.store.objects import Buffer, StorageError

NAME: Final = ".journal"
SALT: Final = 16  # octets
STRETCH: Final = 256 << 10  # octets of zeros written at once: room for commits that leave the file's size as it is
_MAGIC: Final = b"mailpod journal\n"
_START: Final = len(_MAGIC) + SALT
_RECORD: Final = b"rec\n"
_END: Final = b"end\n"
_HEADER: Final = struct.Struct("<4sB3xQQII")  # mark, sealed, sequence, time in ns, length, the data's CRC-32
_CHECK: Final = struct.Struct("<I")  # of the salt, the mark and all behind the seal
_SEAL_AT: Final = 4
_HEAD: Final = _HEADER.size + _CHECK.size
_AT_ONCE: Final = 1 << 20  # octets read to look for what stands behind damage


@dataclass(slots=True)
class Found:
    """A record: its data are `length` octets at `start`; `time` in ns since the epoch."""

    sequence: int
    start: int
    length: int
    time: int
    crc: int
    sealed: bool

    @property
    def end(self) -> int:
        return self.start + self.length


def new(salt: bytes) -> list[Buffer]:
    """An empty journal."""
    return [_MAGIC, salt, bytes(STRETCH - _START)]


class JournalFile:
    """One journal by its open descriptor, which is this object's to close. Raises StorageError for what is none."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        start = os.pread(fd, _START, 0)
        if len(start) < _START or not start.startswith(_MAGIC):
            raise StorageError("a damaged journal: its first octets are not a journal's")
        self._salt = start[len(_MAGIC) :]
        self.records: dict[int, Found] = {}  # ascending; all durable; but for those that are known to have files
        self.count = 0  # of all that were ever found
        self.end = _START
        self.last = 0  # the highest sequence
        self.ended = False

    def __del__(self) -> None:
        os.close(self.fd)

    @property
    def gone(self) -> bool:
        """Whether the file has lost its name: all that it held is in files of its own, or deleted."""
        return os.fstat(self.fd).st_nlink == 0

    def refresh(self) -> None:
        """Know what others have written, and make durable what may not be."""
        if self.ended:
            return
        for found in self._new():
            if not found.sealed:
                self._make_durable(found)
            self._add(found)

    def forget(self, sequences: Iterable[int]) -> None:
        """They are read from their files from now on."""
        for sequence in sequences:
            self.records.pop(sequence, None)

    def unread(self) -> list[Found]:
        """All records, for who only lists them."""
        return list(self._new())

    def read(self, found: Found, start: int, end: int) -> bytes:
        return os.pread(self.fd, max(0, min(end, found.length) - start), found.start + start)

    def append(self, sequence: int, data: Sequence[Buffer], length: int, time: int) -> None:
        """Write after what is known, durably. The caller has the log's lock, has refreshed and has reserved the room.

        `sequence` is above `last`. Raises OSError, which leaves open whether the record is there.
        """
        crc = 0
        for each in data:
            crc = zlib.crc32(each, crc)
        found = Found(sequence, self.end + _HEAD, length, time, crc, sealed=False)
        record = b"".join((self._head(_RECORD, found), *data))  # there may be more pieces than one call takes
        if os.pwritev(self.fd, [record], self.end) < len(record):
            raise OSError(errno.EIO, "a record was not written whole")
        os.fdatasync(self.fd)
        self._seal(found)
        self._add(found)

    def reserve(self, length: int) -> None:
        """Room for a record of `length` octets: after that, what is written needs no new place on the disk."""
        size, needed = os.fstat(self.fd).st_size, self.end + _HEAD + length
        while size < needed:
            size += os.pwrite(self.fd, bytes(STRETCH), size)

    def finish(self) -> None:
        """Nothing more is written here. The caller has the log's lock, and has refreshed."""
        if not self.ended:
            self.reserve(0)
            os.pwrite(self.fd, self._head(_END, Found(0, 0, 0, 0, 0, sealed=True)), self.end)
            self.ended = True

    def _new(self) -> Iterator[Found]:
        """What stands behind the end that is known."""
        waiting: Found | None = None
        for found in self._whole_headers():
            if waiting is not None:
                yield waiting
            waiting = found
        if waiting is not None and (waiting.sealed or self._is_whole(waiting)):
            yield waiting

    def _whole_headers(self) -> Iterator[Found]:
        at, size = self.end, os.fstat(self.fd).st_size
        while at + _HEAD <= size:
            head = os.pread(self.fd, _HEAD, at)
            found = self._record(head, at)
            if found is not None and found.end <= size:
                yield found
                at = found.end
            elif self._is_end(head):
                self.ended = True
                return
            elif not any(head) or (after := self._behind(at + 1, size)) is None:
                return
            else:
                at = after

    def _record(self, head: bytes, at: int) -> Found | None:
        if len(head) < _HEAD or not head.startswith(_RECORD) or not self._checks(head):
            return None
        _, sealed, sequence, time, length, crc = _HEADER.unpack_from(head)
        return Found(sequence, at + _HEAD, length, time, crc, bool(sealed))

    def _is_end(self, head: bytes) -> bool:
        return head.startswith(_END) and self._checks(head)

    def _behind(self, at: int, size: int) -> int | None:
        """Where the next record begins behind a header that is damaged."""
        kept = b""
        while at < size:
            piece = kept + os.pread(self.fd, _AT_ONCE, at)
            start = at - len(kept)
            place = piece.find(_RECORD)
            while place >= 0:
                found = self._record(os.pread(self.fd, _HEAD, start + place), start + place)
                if found is not None and found.sequence > self.last:
                    return start + place
                place = piece.find(_RECORD, place + 1)
            at, kept = start + len(piece), piece[1 - len(_RECORD) :]
            if len(piece) <= len(kept):
                return None
        return None

    def _is_whole(self, found: Found) -> bool:
        data = os.pread(self.fd, found.length, found.start)
        return len(data) == found.length and zlib.crc32(data) == found.crc

    def _make_durable(self, found: Found) -> None:
        """Of what another wrote, or of what could not be synced: written again, as a sync that failed forgets it."""
        at = found.start - _HEAD
        os.pwrite(self.fd, os.pread(self.fd, found.end - at - 8, at + 8), at + 8)
        os.fdatasync(self.fd)

    def _seal(self, found: Found) -> None:
        with suppress(OSError):  # it saves others a look, no more
            os.pwrite(self.fd, b"\1", found.start - _HEAD + _SEAL_AT)

    def _add(self, found: Found) -> None:
        self.records[found.sequence] = found
        self.count += 1
        self.end, self.last = found.end, found.sequence

    def _head(self, mark: bytes, found: Found) -> bytes:
        head = _HEADER.pack(mark, found.sealed, found.sequence, found.time, found.length, found.crc)
        return head + _CHECK.pack(self._sum(head))

    def _checks(self, head: bytes) -> bool:
        return _CHECK.pack(self._sum(head[: _HEADER.size])) == head[_HEADER.size :]

    def _sum(self, head: bytes) -> int:
        return zlib.crc32(head[_SEAL_AT + 4 :], zlib.crc32(head[:_SEAL_AT], zlib.crc32(self._salt)))


def listed(path: str) -> dict[str, Found]:
    """What is in the journal `path`, by name; nothing where there is none. Raises OSError, StorageError."""
    try:
        journal = JournalFile(os.open(path, os.O_RDONLY))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {f"{found.sequence:020d}": found for found in journal.unread()}
