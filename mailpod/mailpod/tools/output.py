"""Printing for people: sizes, tables, and a bar on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Final, TextIO

_BAR: Final = 24
_EVERY: Final = 0.1  # seconds between two drawings


def say(text: str = "") -> None:
    print(text)  # noqa: T201  for the person at the terminal


def complain(text: str) -> None:
    print(f"mailpod: {text}", file=sys.stderr)  # noqa: T201


def size(count: float) -> str:
    """Bytes as people read them: `1.5 MB`, powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def several(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Columns, the first `left` of them aligned to the left."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


class Bar:
    """Drawn on standard error where that is a terminal, and wiped away at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._drawn = 0.0
        self._shown = self._stream.isatty()

    def __call__(self, done: float, what: str) -> None:
        now = time.monotonic()
        if not self._shown or (now - self._drawn < _EVERY and done < 1):
            return
        self._drawn = now
        full = round(_BAR * min(max(done, 0.0), 1.0))
        line = f"[{'#' * full}{'.' * (_BAR - full)}] {100 * done:3.0f} %  {what}"
        self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def close(self) -> None:
        if self._shown and self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
