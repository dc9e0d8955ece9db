"""Checking a bucket against FORMAT.md and STORE.md, and mending what can be mended without guessing: `mailpod fsck`.

- Checking only reads. What it finds is a list of findings, not an exception.
- An account may be in use meanwhile: what looks like damage is looked at again first (STORE.md rule 13).
- Mending only adds objects, but for two kinds of leftovers that the protocol itself deletes (repair.py).
"""

from .finding import Finding, Findings, Severity
from .survey import CheckOptions, check_bucket

__all__ = ["CheckOptions", "Finding", "Findings", "Severity", "check_bucket"]
