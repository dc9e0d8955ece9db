"""DKIM keys in local mode: `DIR/.local/keys`, with the files that a cluster's key Secrets have (keysecrets.py).

A domain's pair is made once and never rotated: nobody looks here whether a new pair's records are in the DNS. Keys that
are there are never replaced, whatever state they are in.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from mailoperator import dkim, keysecrets
from mailoperator.dkim import DkimSchedule
from mailoperator.keysecrets import DomainKeys
from mailoperator.localstate import LocalState

KEYS: Final = "keys"
_RECORDS: Final = "dkim-records"  # for people
_NEVER: Final = DkimSchedule(rotate_days=None)


def keep_keys(state: LocalState, domains: Sequence[str]) -> None:
    """Make what is missing: some 0.1 s a domain. Raises OSError."""
    (state.path / KEYS).mkdir(mode=0o700, exist_ok=True)
    for domain in domains:
        label = keysecrets.label_of(domain)
        folder = f"{KEYS}/{keysecrets.bucket_of(domain):02}"
        if (state.path / folder / f"{label}{keysecrets.STATE}").exists():
            continue
        now = time.time()
        pairs = dkim.advance((dkim.make([], now),), now, _NEVER, lambda _: False)
        files = keysecrets.written(label, DomainKeys(dkim=pairs))
        for name in sorted(files, key=lambda name: name.endswith(".json")):  # the state last: it names the others
            state.write(f"{folder}/{name}", files[name].decode())
        _tell(state, domain, pairs[-1].records())


def _tell(state: LocalState, domain: str, records: dict[str, str]) -> None:
    """Add to the list of what belongs into the DNS."""
    file = state.path / _RECORDS
    before = file.read_text() if file.exists() else ""
    lines = [f'{selector}._domainkey.{domain} TXT "{text}"\n' for selector, text in records.items()]
    state.write(_RECORDS, before + "".join(lines))
