"""Local mode starts a pod that keeps dying after longer and longer pauses. Where a test kills it, it need not."""

from __future__ import annotations

from pathlib import Path

_SITE = """\
import sys
if "local" in sys.orig_argv:
    from mailoperator import pods
    pods._LONGEST_WAIT = pods._FIRST_WAIT
"""


def at_once(folder: Path) -> dict[str, str]:
    """The environment of a `mail-operator local` whose pods are back half a second after each death."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE)
    return {"PYTHONPATH": str(folder)}
