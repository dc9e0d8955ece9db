"""What a client asked for beyond plain IMAP4rev1: by ENABLE, or by a command that implies it (RFC 7162 §3.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Enabled:
    """Of one connection, for good (RFC 5161 §3.1). The session and its view share it."""

    condstore: bool = False
    qresync: bool = False

    def enable(self, name: str) -> bool:
        """False for what is not known."""
        if name not in ("CONDSTORE", "QRESYNC"):
            return False
        self.condstore = True  # RFC 7162 §3.2.3: QRESYNC enables CONDSTORE too
        self.qresync = self.qresync or name == "QRESYNC"
        return True
