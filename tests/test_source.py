"""What no linter looks for in the source."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
POSSESSIVE = re.compile(r"[\])}][*+?]\+|\(\?>")


def test_no_possessive_quantifier() -> None:
    """Python 3.11.0 to 3.11.4 (Debian 12 has 3.11.2) match them wrongly: CPython issue 106052."""
    sources = [*ROOT.glob("mailpod/mailpod/**/*.py"), *ROOT.glob("operator/mailoperator/**/*.py")]
    assert len(sources) > 100
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "compile(" in line or 'rb"' in line
        if POSSESSIVE.search(line)
    ]
    assert not found
