"""The help of a command: what it is for, what its exit status says, and how it is used, by examples that run."""

from __future__ import annotations

import argparse
import textwrap
from typing import Final, TypedDict

_COLUMNS: Final = 100
RUNS: Final = "0 done, 2 it could not run"


class Teaching(TypedDict):
    """What argparse's parsers are made with."""

    description: str
    epilog: str
    formatter_class: type[argparse.HelpFormatter]


def teach(description: str, *examples: tuple[str, str], status: str = RUNS) -> Teaching:
    """`examples` are commands, and what each is for."""
    width = max(len(command) for command, _ in examples)
    lines = [f"  {command:{width}}  {purpose}".rstrip() for command, purpose in examples]
    return {
        "description": textwrap.fill(description, _COLUMNS),
        "epilog": "\n".join(["for example:", *lines, "", *textwrap.wrap(f"exit status: {status}", _COLUMNS)]),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
