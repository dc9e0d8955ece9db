"""CHECK (RFC 3501 §6.4.1): everything is durable already, so it is NOOP."""

from __future__ import annotations

from mailpod.imap.commands.noop import run

__all__ = ["run"]
