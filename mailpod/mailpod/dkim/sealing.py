"""The ARC set that a forwarded message leaves with (RFC 8617 §5.1): pure.

- A seal is made last, of the message as it leaves: nothing that a set covers is changed after it.
- The set of a chain that is broken covers itself alone (§5.1.2): it says that the chain ends here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mailpod.dkim.canonical import relaxed_body, relaxed_field
from mailpod.dkim.signing import SigningKey, signature_field, signed_fields, with_value
from mailpod.mime.headers import header_end, split_lines


@dataclass(frozen=True, slots=True)
class Chain:
    """What a message came with."""

    instance: int  # of the set to be made
    status: str  # none, pass or fail
    fields: Sequence[bytes] = ()  # of all sets before, raw, in the order in which they are sealed
    results: bytes = b""  # our Authentication-Results, whole


def arc_set(message: bytes, chain: Chain, key: SigningKey, *, domain: str, seconds: float) -> bytes:
    """The three fields, to be put before `message`. `domain` is an A-label."""
    value = chain.results.partition(b":")[2].strip()
    results = b"ARC-Authentication-Results: i=%d; %b\r\n" % (chain.instance, value)
    end = header_end(message, 0, len(message))
    names, signed = signed_fields(split_lines(message[:end]), also=(b"dkim-signature",))
    body_hash = base64.b64encode(hashlib.sha256(relaxed_body(message[end:])).digest())
    start = b"ARC-Message-Signature: i=%d" % chain.instance
    own = signature_field(start, key, domain, int(seconds), names, body_hash, signed)
    before = () if chain.status == "fail" else chain.fields
    unsigned = b"ARC-Seal: i=%d; a=%b; cv=%b; d=%b;\r\n\ts=%b; t=%d;\r\n\tb=" % (
        chain.instance,
        key.algorithm.encode(),
        chain.status.encode(),
        domain.encode(),
        key.selector.encode(),
        int(seconds),
    )
    seal = with_value(unsigned, key, b"".join(map(relaxed_field, (*before, results, own))))
    return seal + own + results
