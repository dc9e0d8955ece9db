"""Structured logs: one JSON line an event, on standard error. Never message content, never a credential."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback
from typing import Any, TextIO

LEVELS = ("debug", "info", "warning", "error")


class _Output:
    """Where the lines go, and from which level on; set once at the pod's start."""

    stream: TextIO | None = None
    pod: str = ""
    level: int = 1


def configure(*, pod: str = "", level: str = "info", stream: TextIO | None = None) -> None:
    """Name the pod in every line, drop lines under `level`, and send other libraries' logging here too."""
    _Output.pod, _Output.level, _Output.stream = pod, LEVELS.index(level), stream
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def event(name: str, *, level: str = "info", **fields: Any) -> None:
    """Log that `name` (`imap.login`) happened. Fields must not hold message content or credentials."""
    if LEVELS.index(level) < _Output.level:
        return
    # Logs tell people and collectors the time of day; nothing decides by it.
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {"time": time, "level": level, "event": name}
    if _Output.pod:
        line["pod"] = _Output.pod
    line |= fields
    stream = _Output.stream or sys.stderr
    try:
        stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        stream.flush()
    except (OSError, ValueError):
        return  # A closed standard error must not end a session.


def crash(name: str, error: BaseException, **fields: Any) -> None:
    """Log an unexpected exception: its type and where it arose, not its text, which may quote a message."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = [f"{frame.filename.rsplit('/mailpod/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
    event(name, level="error", error=type(error).__name__, where=where, **fields)


class _Bridge(logging.Handler):
    """Lines of other libraries (asyncio, aiosmtpd), without their exceptions' texts."""

    def emit(self, record: logging.LogRecord) -> None:
        level = (
            "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "debug"
        )
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            crash("library.error", error, logger=record.name, message=record.msg)
        else:
            event("library.log", level=level, logger=record.name, message=record.getMessage())
