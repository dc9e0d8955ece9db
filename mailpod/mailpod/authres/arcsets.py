"""The ARC sets of a message (RFC 8617 §4): what is there, and whether it can be a chain at all. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mailpod.authres.dkim import Signature, decoded, message_signature, signer_of, tags_of
from mailpod.authres.tags import BadTags
from mailpod.mime.headers import field_name

MOST_SETS: Final = 50  # §4.2.1
RESULTS: Final = b"arc-authentication-results"
MESSAGE: Final = b"arc-message-signature"
SEAL: Final = b"arc-seal"
_NAMES: Final = (RESULTS, MESSAGE, SEAL)  # §5.1.1: the order in which they are sealed
_INSTANCE: Final = re.compile(rb"(?:^|;)[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*0*([0-9]{1,9})[ \t\r\n]*(?:;|$)")
_RESULTS_INSTANCE: Final = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*0*([0-9]{1,9})[ \t\r\n]*;")  # §4.1.1: first
_EMPTY_TAG: Final = re.compile(r";[ \t\r\n]*;")
_TIME: Final = re.compile(r"[0-9]{1,12}")


class BadChain(ValueError):
    """What is wrong with the sets."""


@dataclass(frozen=True, slots=True)
class ArcSet:
    """One hop's word. The fields are raw, without their last CRLF."""

    results: bytes
    message: bytes
    seal: bytes
    status: str  # cv=
    signature: Signature  # of the seal

    @property
    def fields(self) -> tuple[bytes, bytes, bytes]:
        """As they are sealed."""
        return self.results, self.message, self.seal


@dataclass(slots=True)
class Found:
    """The ARC fields of a message by their names, of which `highest` is the instance that a new set follows."""

    fields: dict[bytes, list[tuple[int, bytes]]] = field(default_factory=dict)
    highest: int = 0

    def __bool__(self) -> bool:
        return bool(self.fields)

    @property
    def ended(self) -> bool:
        """Whether no set may follow: the last one says that the chain is broken (§5.1), or there are too many."""
        last = [value for instance, value in self.fields.get(SEAL, []) if instance == self.highest]
        return self.highest >= MOST_SETS or any(re.search(rb"\bcv[ \t\r\n]*=[ \t\r\n]*fail\b", seal) for seal in last)


def find_sets(fields: Sequence[bytes]) -> Found:
    """`fields` are raw. A field without an instance has 0."""
    found = Found()
    for raw in [raw for raw in fields if raw[:4].lower() == b"arc-"]:  # few messages have any
        name = field_name(raw)
        if name in _NAMES:
            value = raw.partition(b":")[2]
            match = _RESULTS_INSTANCE.match(value) if name == RESULTS else _INSTANCE.search(value)
            instance = int(match[1]) if match else 0
            found.fields.setdefault(name, []).append((instance, raw))
            found.highest = max(found.highest, instance)
    return found


def chain_of(found: Found) -> list[ArcSet]:
    """§5.2, steps 1 to 3: the sets, the first one first. Raises BadChain."""
    if found.highest > MOST_SETS:
        raise BadChain("too many sets")
    by_name = {name: dict(found.fields.get(name, [])) for name in _NAMES}
    whole = set(range(1, found.highest + 1))
    if not whole or any(set(by_name[name]) != whole or len(found.fields[name]) != len(whole) for name in _NAMES):
        raise BadChain("sets are not whole")
    chain = []
    for instance in sorted(whole):
        results, message, seal = (by_name[name][instance] for name in _NAMES)
        status, signature = _seal(seal)
        if status != ("none" if instance == 1 else "pass"):
            raise BadChain("the last hop found it broken" if status == "fail" else "a seal has the wrong cv")
        chain.append(ArcSet(results, message, seal, status, signature))
    return chain


def _seal(raw: bytes) -> tuple[str, Signature]:
    """§4.1.3"""
    try:
        tags = _tags(raw)
        domain, selector = signer_of(tags, "cv")
        if "h" in tags or "bh" in tags:
            raise BadTags("a seal that names fields")
        algorithm, value = tags["a"].lower(), decoded(tags["b"])
    except BadTags as error:
        raise BadChain(f"a seal: {error}") from None
    form = ("relaxed", "relaxed")
    return tags["cv"].lower(), Signature(raw, domain, selector, algorithm, (), value, b"", form, None, domain, None)


def parse_message_signature(raw: bytes) -> Signature:
    """§4.1.2. Raises BadTags."""
    tags = _tags(raw)
    signature = message_signature(raw, tags)
    if SEAL in signature.names:
        raise BadTags("a seal is signed")
    return signature


def _tags(raw: bytes) -> dict[str, str]:
    """RFC 6376 §3.2 to the letter, as every ARC field is machine-made. Raises BadTags."""
    tags = tags_of(raw)
    if _EMPTY_TAG.search(raw.decode("ascii")):
        raise BadTags("an empty tag")
    if not _TIME.fullmatch(tags.get("t", "0")):
        raise BadTags("tag t is no number")
    return tags
