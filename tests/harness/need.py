"""Clients and tools that a test cannot do without: absent, the test skips and says which; with CI=true it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def missing(what: str) -> None:
    """Skip the test for want of `what`, or fail it where CI=true promises that everything is there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not on this machine, and CI=true says that everything must be")
    pytest.skip(f"{what} is not on this machine")


def find(program: str) -> str | None:
    """Where a program is, in PATH, beside this interpreter, or in the sbin folders; None where it is not."""
    folders = [os.environ.get("PATH", ""), str(Path(sys.executable).parent), "/usr/local/sbin:/usr/sbin:/sbin"]
    return shutil.which(program, path=":".join(folders))


def need(program: str) -> str:
    """The path of a program; skips the test, naming it, where there is none."""
    path = find(program)
    if path is None:
        missing(program)
    assert path is not None
    return path


def need_perl(module: str) -> None:
    """Skips the test where Perl lacks a module: swaks speaks TLS only with Net::SSLeay."""
    if subprocess.run([need("perl"), f"-M{module}", "-e1"], capture_output=True, check=False).returncode:
        missing(f"Perl's {module}")
