"""What a look into a log did not find, and what cannot have come since: nothing was named there.

- A folder's ctime is that of the last change of a name in it, by a clock that may be a little behind. Where it was old
  as a look began, whatever comes after gives another; so what that look missed is missing while the ctime is the same.
- Nobody can set a ctime. Where it has no parts of a second, it may be that of a file system that counts in seconds, and
  says nothing.
- Only on a file system of this machine: another's is told of changes late.
- A journal takes commits without a change of names (journals.py), but there is none before it was named. Who looks into
  one asks for the mark again after that: what was in it may have become a file meanwhile.
"""

# ruff: noqa: PTH116
# (a Path costs more than the call that it is made for)

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

_OLD: Final = 1.0  # seconds; the clock of files is behind by a hundredth of that at most
_SECOND: Final = 1_000_000_000  # ns
_LOGS: Final = 4096


class Absent:
    """Of each folder below `root`, what was looked for last. `now`: seconds since the epoch, the time of files."""

    def __init__(self, root: str, now: Callable[[], float]) -> None:
        self._root = root
        self._now = now
        self._last: dict[str, tuple[int, tuple[str, ...]]] = {}  # folder: its ctime in ns, names

    def mark(self, folder: str) -> int:
        """To be asked for as a look begins; 0: it is not worth remembering."""
        try:
            ctime = os.stat(f"{self._root}/{folder}").st_ctime_ns
        except OSError:
            return 0
        return ctime if ctime % _SECOND and ctime / _SECOND < self._now() - _OLD else 0

    def known(self, folder: str, mark: int) -> tuple[str, ...]:
        """Names that were looked for in vain and are still not there."""
        before, names = self._last.get(folder, (0, ()))
        return names if mark and mark == before else ()

    def note(self, folder: str, mark: int, *names: str) -> None:
        """A look that began with `mark` did not find these."""
        if mark:
            self._last.pop(folder, None)
            self._last[folder] = mark, names
            if len(self._last) > _LOGS:
                del self._last[next(iter(self._last))]
