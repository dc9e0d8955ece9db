"""CPython's own odd messages, where this Python was installed with its tests; Debian packs those apart."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def _messages() -> list[Path]:
    try:
        spec = importlib.util.find_spec("test.test_email")
    except ModuleNotFoundError:
        return []
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.joinpath("data").glob("*.txt"))


MESSAGES = _messages()
