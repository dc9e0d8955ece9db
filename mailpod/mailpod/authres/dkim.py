"""DKIM signatures of what comes in (RFC 6376 §6, RFC 8301, RFC 8463).

- A signature that covers a part of the body only (l=) is no pass: anybody can have added the rest.
- rsa-sha1, and keys shorter than `min_rsa_bits`, are no pass (RFC 8301 §3.1 and §3.2).
- A key that cannot be looked up just now is a temperror.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailpod.authres.settings import AuthresSettings
from mailpod.authres.tags import BadTags, parse_tags
from mailpod.dkim.canonical import BODIES, FIELDS
from mailpod.dns.answers import LookupFailed, Missing
from mailpod.dns.resolver import Resolver
from mailpod.mime.headers import field_name, header_end, split_lines

Result: TypeAlias = Literal["pass", "fail", "policy", "neutral", "temperror", "permerror"]
PublicKey: TypeAlias = RSAPublicKey | Ed25519PublicKey

_ALGORITHMS: Final = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_B: Final = re.compile(rb"(^|;)([ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_RSA_PREFIX: Final = bytes.fromhex("300d06092a864886f70d0101010500")  # AlgorithmIdentifier of an RSA key
_LARGE: Final = 256 * 1024  # octets of a message that is hashed in a thread


class Unverified(Exception):
    """Why a signature is no pass."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result: Result = result


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM-Signature field that parses."""

    field: bytes  # raw, without its last CRLF
    domain: str
    selector: str
    algorithm: str
    names: tuple[bytes, ...]  # of the signed fields, lower case
    value: bytes
    body_hash: bytes
    canonical: tuple[str, str]  # of fields, of the body
    length: int | None
    agent_domain: str  # of i=
    expires: int | None


@dataclass(frozen=True, slots=True)
class Dkim:
    """The outcome of one signature."""

    result: Result
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    value: str = ""  # the beginning of b=, which tells signatures apart (RFC 6008)
    reason: str = ""


class Verifier:
    """Of one message."""

    def __init__(self, message: bytes, resolver: Resolver, settings: AuthresSettings, now: float) -> None:
        self._resolver, self._settings, self._now = resolver, settings, now
        end = header_end(message, 0, len(message))
        self.fields = [line.removesuffix(b"\r") for line in split_lines(message[:end])]
        self._body = message[end:]
        self._bodies: dict[str, asyncio.Task[tuple[bytes, int]]] = {}

    def signatures(self) -> list[bytes]:
        """The DKIM-Signature fields that are looked at, from the top."""
        found = [field for field in self.fields if field_name(field) == b"dkim-signature"]
        return found[: self._settings.max_signatures]

    def unfinished(self, field: bytes) -> Dkim:
        """The outcome of a signature that there is no time for: whose it is counts all the same."""
        try:
            signature = parse_signature(field)
        except BadTags as error:
            return Dkim("permerror", reason=str(error))
        return Dkim("temperror", signature.domain, signature.selector, signature.algorithm, reason="no time is left")

    async def verify(self, field: bytes) -> Dkim:
        try:
            signature = parse_signature(field)
        except BadTags as error:
            return Dkim("permerror", reason=str(error))
        known = (signature.domain, signature.selector, signature.algorithm)
        value = base64.b64encode(signature.value).decode()[:8]
        try:
            await self.check(signature)
        except Unverified as why:
            return Dkim(why.result, *known, value, str(why))
        return Dkim("pass", *known, value)

    async def check(self, signature: Signature) -> None:
        """Raises Unverified."""
        await self._check(signature, await self.key(signature))

    async def key(self, signature: Signature) -> PublicKey:
        """The key in the DNS that a signature names. Raises Unverified."""
        name = f"{signature.selector}._domainkey.{signature.domain}"
        try:
            records = (await self._resolver.txt(name)).records
        except Missing:
            raise Unverified("permerror", "there is no key") from None
        except LookupFailed:
            raise Unverified("temperror", "the key cannot be looked up") from None
        if len(records) != 1:  # §3.6.2.2: undefined; one of them may be anybody's
            raise Unverified("permerror", "there are several keys")
        return load_key(records[0], signature, self._settings)

    async def _check(self, signature: Signature, key: PublicKey) -> None:
        if signature.expires is not None and signature.expires < self._now:
            raise Unverified("policy", "the signature has expired")
        digest, length = await self._hashed(signature.canonical[1])
        if signature.length is not None and signature.length > length:
            raise Unverified("permerror", "more octets are signed than there are")
        if signature.length is not None and signature.length != length:
            raise Unverified("policy", "only a part of the body is signed")
        if digest != signature.body_hash:
            raise Unverified("fail", "the body has changed")
        check_value(key, signature, hashlib.sha256(signed_fields(self.fields, signature)).digest())

    async def _hashed(self, canonical: str) -> tuple[bytes, int]:
        """Hash and length of the body in a canonical form, once each."""
        if canonical not in self._bodies:
            self._bodies[canonical] = asyncio.ensure_future(self._hash(canonical))
        return await asyncio.shield(self._bodies[canonical])

    async def _hash(self, canonical: str) -> tuple[bytes, int]:
        if len(self._body) > _LARGE:
            return await asyncio.to_thread(_hash_of, self._body, canonical)
        return _hash_of(self._body, canonical)


def _hash_of(body: bytes, canonical: str) -> tuple[bytes, int]:
    form = BODIES[canonical](body)
    return hashlib.sha256(form).digest(), len(form)


def parse_signature(field: bytes) -> Signature:
    """Raises BadTags for a field that is no signature of version 1, or that this verifier cannot take (§6.1.1)."""
    tags = tags_of(field)
    if tags.get("v") != "1":
        raise BadTags("tags are missing" if "v" not in tags else "not version 1")
    signature = message_signature(field, tags)
    agent = tags.get("i", f"@{signature.domain}").rpartition("@")[2].lower()
    if agent != signature.domain and not agent.endswith(f".{signature.domain}"):
        raise BadTags("the agent is not of the domain")
    if b"from" not in signature.names:
        raise BadTags("From is not signed")
    return replace(signature, agent_domain=agent)


def tags_of(field: bytes) -> dict[str, str]:
    """Raises BadTags."""
    try:
        return parse_tags(field.partition(b":")[2].decode("ascii"))
    except UnicodeDecodeError:
        raise BadTags("a signature that is not ASCII") from None


def signer_of(tags: dict[str, str], *needed: str) -> tuple[str, str]:
    """Domain and selector of a signature that has at least the tags `needed`. Raises BadTags."""
    if not all(tags.get(name) for name in ("a", "b", "d", "s", *needed)):
        raise BadTags("tags are missing")
    domain, selector = tags["d"].lower(), tags["s"].lower()
    if not _DOMAIN.fullmatch(domain) or not _DOMAIN.fullmatch(selector):
        raise BadTags("a domain that is none")
    return domain, selector


def message_signature(field: bytes, tags: dict[str, str]) -> Signature:
    """What DKIM-Signature and ARC-Message-Signature have in common. Raises BadTags."""
    domain, selector = signer_of(tags, "bh")
    if "h" not in tags:
        raise BadTags("tags are missing")
    names = tuple(name.strip(" \t\r\n").lower().encode() for name in tags["h"].split(":"))
    if "dns/txt" not in tags.get("q", "dns/txt").lower():
        raise BadTags("a key that is elsewhere")
    forms = tags.get("c", "simple/simple").lower().partition("/")
    canonical = forms[0], forms[2] or "simple"
    if canonical[0] not in FIELDS or canonical[1] not in BODIES:
        raise BadTags("a canonical form that is not known")
    return Signature(
        field=field,
        domain=domain,
        selector=selector,
        algorithm=tags["a"].lower(),
        names=names,
        value=decoded(tags["b"]),
        body_hash=decoded(tags["bh"]),
        canonical=canonical,
        length=_number(tags, "l"),
        agent_domain=domain,
        expires=_number(tags, "x"),
    )


def load_key(record: bytes, signature: Signature, settings: AuthresSettings) -> PublicKey:
    """The key in a TXT record (§3.6.1), if it may be used for this signature. Raises Unverified."""
    wanted = _ALGORITHMS.get(signature.algorithm)
    if wanted is None:  # RFC 8301 §3.1; RFC 6376 §3.3: what is not known is ignored
        raise Unverified("policy" if signature.algorithm == "rsa-sha1" else "neutral", "the algorithm is not accepted")
    try:
        tags = parse_tags(record.decode("ascii"))
    except (BadTags, UnicodeDecodeError):
        raise Unverified("permerror", "the key's record is malformed") from None
    if tags.get("v", "DKIM1") != "DKIM1" or "p" not in tags:
        raise Unverified("permerror", "the key's record is malformed")
    if not tags["p"]:
        raise Unverified("fail", "the key was revoked")
    if tags.get("k", "rsa").lower() != wanted or not _allowed(tags.get("h"), "sha256"):
        raise Unverified("permerror", "the key is for another algorithm")
    if not _allowed(tags.get("s"), "*", "email"):
        raise Unverified("permerror", "the key is not for mail")
    if _allowed(tags.get("t", ""), "s") and tags.get("t") and signature.agent_domain != signature.domain:
        raise Unverified("permerror", "the key is not for subdomains")
    try:
        raw = decoded(tags["p"])
        key = Ed25519PublicKey.from_public_bytes(raw) if wanted == "ed25519" else _rsa(raw)
    except (BadTags, ValueError, UnsupportedAlgorithm):
        raise Unverified("permerror", "the key cannot be read") from None
    if isinstance(key, RSAPublicKey) and not settings.min_rsa_bits <= key.key_size <= settings.max_rsa_bits:
        raise Unverified("policy", f"a key of {key.key_size} bits is not accepted")
    return key


def signed_fields(fields: Sequence[bytes], signature: Signature) -> bytes:
    """What the signature is of (§3.7): each name takes the lowest field that none took yet."""
    form = FIELDS[signature.canonical[0]]
    left: dict[bytes, list[bytes]] = {}
    for field in fields:
        left.setdefault(field_name(field), []).append(field)
    pieces = [form(left[name].pop()) for name in signature.names if left.get(name)]
    return b"".join(pieces) + form(without_value(signature.field)).removesuffix(b"\r\n")


def without_value(field: bytes) -> bytes:
    """A signature's field with nothing in b= (§3.7)."""
    start = field.index(b":") + 1
    return field[:start] + _B.sub(rb"\1\2", field[start:], count=1)


def check_value(key: PublicKey, signature: Signature, hashed: bytes) -> None:
    """Raises Unverified."""
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature.value, hashed, PKCS1v15(), Prehashed(SHA256()))
        else:
            key.verify(signature.value, hashed)  # RFC 8463 §3
    except InvalidSignature:
        raise Unverified("fail", "the signature is not of these fields") from None


def _rsa(raw: bytes) -> RSAPublicKey:
    """SubjectPublicKeyInfo, as everybody publishes it, or RFC 8017's RSAPublicKey, as §3.6.1 has it."""
    try:
        key = load_der_public_key(raw)
    except ValueError:
        bits = b"\x03" + _length(len(raw) + 1) + b"\0" + raw
        key = load_der_public_key(b"\x30" + _length(len(_RSA_PREFIX) + len(bits)) + _RSA_PREFIX + bits)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


def _length(octets: int) -> bytes:
    return bytes([octets]) if octets < 128 else b"\x82" + octets.to_bytes(2, "big")


def _allowed(listed: str | None, *any_of: str) -> bool:
    return listed is None or bool({item.strip(" \t\r\n").lower() for item in listed.split(":")} & set(any_of))


def _number(tags: dict[str, str], name: str) -> int | None:
    value = tags.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,76}", value):
        raise BadTags(f"tag {name} is no number")
    return int(value)


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(_SPACE.sub("", text), validate=True)
    except (binascii.Error, ValueError):
        raise BadTags("not base64") from None
