"""The Authentication-Results field (RFC 8601): ours written, and others' that bear our name taken out. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mailpod.authres.arc import Arc
from mailpod.authres.dkim import Dkim
from mailpod.authres.dmarc import Dmarc
from mailpod.authres.spf import Spf
from mailpod.mime.headers import field_name, header_end

_FIELD: Final = re.compile(rb"[^\n]*(?:\n[ \t][^\n]*)*\n?")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._=+/-]")
_COMMENT: Final = re.compile(rb"\((?:[^()\\]|\\.)*\)", re.DOTALL)
_ID: Final = re.compile(rb'[ \t\r\n]*(?:"((?:[^"\\]|\\.)*)"|([^ \t\r\n;"]+))', re.DOTALL)
_NESTED: Final = 20  # comments in comments that are looked through


def results_field(
    server: str,
    spf: Spf | None,
    signatures: Sequence[Dkim],
    verdicts: Sequence[Dmarc],
    arc: Arc | None = None,
    client: str = "",
) -> bytes:
    """The field, its folds and its last CRLF included. `server` is the authserv-id, `client` the client's address."""
    found = []
    if spf is not None:
        found.append(f"spf={spf.result} smtp.mailfrom={_safe(spf.domain)}")
    found += [_signature(signature) for signature in signatures]
    if not signatures:
        found.append("dkim=none")
    for verdict in verdicts:
        passed = " arc=pass" if verdict.vouched else ""
        policy = f" (p={verdict.policy}{passed})" if verdict.result == "fail" else ""
        author = f" header.from={_safe(verdict.domain)}" if verdict.domain else ""
        found.append(f"dmarc={verdict.result}{policy}{author}")
    if arc is not None and arc.result != "none":
        address = f'"{client}"' if ":" in client else client
        found.append(f"arc={arc.result} smtp.remote-ip={address}")  # RFC 8617 §10.2
    return (f"Authentication-Results: {server};\r\n\t" + ";\r\n\t".join(found) + "\r\n").encode()


def _signature(signature: Dkim) -> str:
    reason = f' reason="{signature.reason}"' if signature.reason and signature.domain else ""
    names = (("header.d", signature.domain), ("header.s", signature.selector), ("header.a", signature.algorithm))
    said = "".join(f" {name}={_safe(value)}" for name, value in names if value)
    # RFC 6008 §3: what tells several signatures of one domain apart; quoted, since base64 is no token
    beginning = f' header.b="{_safe(signature.value)}"' if signature.value else ""
    return f"dkim={signature.result}{reason}{said}{beginning}"


def _safe(value: str) -> str:
    return _UNSAFE.sub("?", value)[:255] or "?"


def without_forged(content: bytes, server: str) -> bytes:
    """The message without Authentication-Results that claim to be of `server` (RFC 8601 §5)."""
    end = header_end(content, 0, len(content))
    header = content[:end]
    if b"authentication-results" not in header.lower():
        return content
    kept = [field for field in _FIELD.findall(header) if not _is_of(field, server)]
    return b"".join(kept) + content[end:]


def _is_of(field: bytes, server: str) -> bool:
    if field_name(field) != b"authentication-results":
        return False
    value = field.partition(b":")[2]
    for _ in range(_NESTED):
        shorter = _COMMENT.sub(b" ", value)
        if shorter == value:
            break
        value = shorter
    match = _ID.match(value)
    if match is None:
        return True  # nobody can say whose it is
    name = match[2] if match[1] is None else re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL)
    return name.lower().rstrip(b".") == server.lower().encode()
