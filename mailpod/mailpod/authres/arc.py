"""Authenticated Received Chains (RFC 8617): what the servers before us found out, if nobody tampered with it.

- Every fault is for good, a DNS that does not answer too (§5.2.1): a chain that is not `pass` is worth nothing.
- Whether a chain that passes is believed is the receiver's choice, by who sealed it: `vouched`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mailpod.authres.arcsets import ArcSet, BadChain, chain_of, find_sets, parse_message_signature
from mailpod.authres.dkim import Signature, Unverified, Verifier, check_value, without_value
from mailpod.authres.tags import BadTags
from mailpod.dkim.canonical import relaxed_field

Result: TypeAlias = Literal["none", "pass", "fail"]

_HIDING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)', re.DOTALL)  # quoted strings, comments
_NESTED: Final = 5  # comments in comments that are looked through
_DMARC: Final = re.compile(rb";[ \t]*dmarc[ \t]*=[ \t]*pass\b[^;]*\bheader\.from[ \t]*=[ \t]*([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class Arc:
    """The outcome. `next` is the instance of a set that is added now, None where none may be.

    `sets` is of a pass, as is `signed`: the names of the fields that the last hop signed.
    """

    result: Result
    reason: str = ""
    sets: tuple[ArcSet, ...] = ()
    signed: tuple[bytes, ...] = ()
    next: int | None = 1

    @property
    def sealed(self) -> tuple[bytes, ...]:
        """The fields that the next seal covers, in their order (§5.1.1)."""
        return tuple(field for one in self.sets for field in one.fields)


async def verify_chain(verifier: Verifier) -> Arc:
    """§5.2, of the message that `verifier` is of."""
    found = find_sets(verifier.fields)
    if not found:
        return Arc("none")
    following = None if found.ended else found.highest + 1
    try:
        chain = chain_of(found)
        message = parse_message_signature(chain[-1].message)
        await verifier.check(message)
        for signature, hashed in reversed(_seals(chain)):
            check_value(await verifier.key(signature), signature, hashed)
    except (BadChain, BadTags, Unverified) as why:
        return Arc("fail", str(why), next=following)
    return Arc("pass", "", tuple(chain), message.names, following)


def _seals(chain: Sequence[ArcSet]) -> list[tuple[Signature, bytes]]:
    """Each seal with the hash that it signs: of all sets up to its own (§5.1.1)."""
    found, hashed = [], hashlib.sha256()
    for one in chain:
        hashed.update(relaxed_field(one.results) + relaxed_field(one.message))
        own = hashed.copy()
        own.update(relaxed_field(without_value(one.seal)).removesuffix(b"\r\n"))
        found.append((one.signature, own.digest()))
        hashed.update(relaxed_field(one.seal))
    return found


def vouched(arc: Arc, author: str, trusted: Collection[str]) -> bool:
    """Whether a trusted sealer saw DMARC pass for `author`, and every hop since then is trusted, too (§7.2.1)."""
    if arc.result != "pass" or b"from" not in arc.signed:
        return False
    for one in reversed(arc.sets):
        if one.signature.domain not in trusted:
            return False
        if author in _passed(one.results):
            return True
    return False


def _passed(results: bytes) -> set[str]:
    """The author domains for which DMARC passed. Nothing in a comment or a quoted string counts: anybody wrote that."""
    text = relaxed_field(results)
    for _ in range(_NESTED):
        text = _HIDING.sub(b" ", text)
    if re.search(rb'["()]', text):
        return set()
    return {found.decode().lower() for found in _DMARC.findall(text)}
