"""Who a prefix of a bucket, and a domain in it, belongs to (OPERATOR.md rule 32).

    .mailpod/claims/<prefix, encoded; `!root` for the whole bucket>     at the bucket's root
    directory/<domain>/!owner

- The others are listed, a claim is created if absent, the others are listed again, then it is confirmed. Who sees
  another that overlaps before that withdraws; so of two that overlap at most one is ever confirmed, and a confirmed one
  does not yield. The first look is for the bucket's sake: one that is refused, and tries again, writes nothing.
- Prefixes overlap where one is the other, or a folder above it. Only the very same prefix can be taken over, and only
  where the caller says so, because a person did.
- Claims keep administrators from mistakes; they are no protection from who can write the bucket.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from urllib.parse import unquote

import msgspec

from mailpod.store.names import encode_local_part, owner_key
from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, ObjectStore, StorageError

CLAIMS_PREFIX: Final = ".mailpod/claims/"
_ROOT: Final = "!root"
_TRIES: Final = 4


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who claims: a MailDomain of a cluster. `proof` names what the probe found fit; the claimer's to interpret."""

    cluster: str  # uid of the namespace kube-system
    namespace: str
    name: str
    proof: str = ""
    confirmed: bool = False
    released: bool = False

    def same_owner(self, other: Claim) -> bool:
        return (self.cluster, self.namespace, self.name) == (other.cluster, other.namespace, other.name)

    def __str__(self) -> str:
        return f"MailDomain {self.namespace}/{self.name} of cluster {self.cluster}"


class ClaimConflict(Exception):
    """The prefix or domain, or one that overlaps, belongs to `holder`. `may_take_over`: it is the very same one."""

    def __init__(self, what: str, holder: Claim, *, may_take_over: bool) -> None:
        super().__init__(f"{what} belongs to {holder}")
        self.holder = holder
        self.may_take_over = may_take_over


def claim_key(prefix: str) -> str:
    """Where the claim of `prefix` lies. Raises ValueError for what is no prefix."""
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise ValueError(f"not a prefix: {prefix!r}")
    if prefix.startswith("."):
        raise ValueError(f"a prefix does not begin with a dot: {prefix!r}")
    return CLAIMS_PREFIX + (encode_local_part(prefix) if prefix else _ROOT)


def claimed_prefix(key: str) -> str:
    """The prefix that the claim at `key` is for."""
    name = key.removeprefix(CLAIMS_PREFIX)
    return "" if name == _ROOT else unquote(name)


def overlap(one: str, other: str) -> bool:
    """Whether one is the other or a folder above it. "" is the whole bucket."""
    above, below = sorted((one, other), key=len)
    return not above or below == above or below.startswith(f"{above}/")


async def claim_prefix(root: ObjectStore, prefix: str, owner: Claim, *, take_over: bool = False) -> Claim:
    """Claim `prefix` of the bucket that `root` is the whole of; returns the claim as it stands. Writes nothing where
    it is held already with the same proof. Raises ClaimConflict, StorageError, Ambiguous, ValueError.
    """
    key = claim_key(prefix)
    wanted = msgspec.structs.replace(owner, confirmed=True, released=False)
    held = await _read(root, key)
    if held is not None and not held.same_owner(owner):
        if not take_over:
            raise ClaimConflict(_named(prefix), held, may_take_over=True)
        await root.put(key, [_encode(msgspec.structs.replace(wanted, confirmed=held.confirmed))])
        held = msgspec.structs.replace(wanted, confirmed=held.confirmed)
    if held is None:
        await _look_for_others(root, key, prefix)
        await _create(root, key, msgspec.structs.replace(wanted, confirmed=False))
    if held is None or not held.confirmed:
        try:
            await _look_for_others(root, key, prefix)
        except ClaimConflict:
            await root.delete([key])
            raise
    if held is None or not held.confirmed or (wanted.proof and wanted.proof != held.proof):
        await root.put(key, [_encode(wanted)])
        return wanted
    return held


async def held_claim(root: ObjectStore, prefix: str, owner: Claim) -> Claim | None:
    """Our confirmed claim of `prefix`, or None. A purge needs one. Raises StorageError."""
    held = await _read(root, claim_key(prefix))
    return held if held is not None and held.confirmed and held.same_owner(owner) else None


async def claim_domain(objects: ObjectStore, domain: str, owner: Claim, *, take_over: bool = False) -> None:
    """Claim `domain` in a prefix that is held. Raises ClaimConflict, StorageError, Ambiguous."""
    key = owner_key(domain)
    wanted = msgspec.structs.replace(owner, confirmed=True, released=False, proof="")
    held = await _read(objects, key)
    if held is None:
        await _create(objects, key, wanted)
    elif held.same_owner(owner) and not held.released:
        return
    elif take_over or held.released:
        await objects.put(key, [_encode(wanted)])
    else:
        raise ClaimConflict(f"the domain {domain}", held, may_take_over=True)


async def release_domain(objects: ObjectStore, domain: str, owner: Claim) -> None:
    """Let another have the domain; what is not ours is left alone. Raises StorageError, Ambiguous."""
    held = await _read(objects, owner_key(domain))
    if held is not None and held.same_owner(owner) and not held.released:
        await objects.put(owner_key(domain), [_encode(msgspec.structs.replace(held, released=True))])


async def _look_for_others(root: ObjectStore, key: str, prefix: str) -> None:
    """Raises ClaimConflict where there is a claim that overlaps, other than the one at `key`."""
    for entry in await root.list(CLAIMS_PREFIX):
        other = claimed_prefix(entry.key)
        if entry.key == key or not overlap(prefix, other):
            continue
        holder = await _read(root, entry.key)
        if holder is not None and not holder.released:
            raise ClaimConflict(f"{_named(other)}, which overlaps,", holder, may_take_over=False)


async def _create(objects: ObjectStore, key: str, wanted: Claim) -> None:
    for attempt in range(_TRIES):
        try:
            return await objects.create(key, [_encode(wanted)])
        except AlreadyExists:
            held = await _read(objects, key)
            if held is not None and not held.same_owner(wanted):
                raise ClaimConflict(key, held, may_take_over=True) from None
            return None
        except Ambiguous:
            if attempt == _TRIES - 1:
                raise
    return None


async def _read(objects: ObjectStore, key: str) -> Claim | None:
    with suppress(NotFound):
        data = await objects.get(key)
        try:
            return msgspec.json.decode(data, type=Claim)
        except ValueError as error:
            raise StorageError(f"{key} is not a claim: {error}") from None
    return None


def _encode(claim: Claim) -> bytes:
    return msgspec.json.encode(claim) + b"\n"


def _named(prefix: str) -> str:
    return f"the prefix {prefix!r}" if prefix else "the whole bucket"
