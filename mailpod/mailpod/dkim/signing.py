"""DKIM-Signature fields for a message that leaves (RFC 6376 §5, RFC 8463): pure.

- Both signatures are of the same hashes: a receiver that knows Ed25519 and one that does not see the same message.
- Fields that a forger would add are signed once more than they are there (§8.15): a second From breaks the signature.
- Trace fields, Return-Path and Bcc are never signed: they change, or go (§5.4.2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailpod.dkim.canonical import relaxed_body, relaxed_field
from mailpod.mime.headers import field_name, header_end, split_lines

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey

# RFC 6376 §5.4.1. Signed once more than they are there, also where they are not:
_SEALED: Final = (b"from", b"reply-to", b"subject", b"date", b"to", b"cc")
# … where they are there; mail programs add some of these on the way where they are missing
_SEALED_IF_THERE: Final = (
    *(b"sender", b"message-id", b"mime-version", b"content-type", b"content-transfer-encoding"),
    *(b"in-reply-to", b"references"),
)
# … and as often as they are there: others may add their own
_IF_THERE: Final = (
    *(b"content-id", b"content-description", b"resent-date", b"resent-from", b"resent-to", b"resent-cc"),
    *(b"list-id", b"list-help", b"list-unsubscribe", b"list-unsubscribe-post", b"list-subscribe", b"list-post"),
    *(b"list-owner", b"list-archive", b"autocrypt"),
)
_WIDTH: Final = 72
_PADDING: Final = PKCS1v15()
_HASHED: Final = Prehashed(SHA256())


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and what it is published as."""

    selector: str
    algorithm: str
    """`rsa-sha256` or `ed25519-sha256`."""
    private: PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(digest, _PADDING, _HASHED)
        return self.private.sign(digest)  # RFC 8463 §3: PureEdDSA of the hash

    def secrets(self, purpose: str) -> tuple[bytes, ...]:
        """A key for HMACs that only who has this one knows, of an Ed25519 key."""
        if isinstance(self.private, RSAPrivateKey):
            return ()
        return (hmac.digest(self.private.private_bytes_raw(), purpose.encode(), "sha256"),)


def load_key(selector: str, pem: bytes) -> SigningKey:
    """A key of ours, PKCS #8 in PEM. Raises ValueError."""
    # ours: proving the primes again takes 20 times as long as all the rest
    private = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    if isinstance(private, RSAPrivateKey):
        return SigningKey(selector, "rsa-sha256", private)
    if isinstance(private, Ed25519PrivateKey):
        return SigningKey(selector, "ed25519-sha256", private)
    raise ValueError("a DKIM key is RSA or Ed25519")


def signature_fields(message: bytes, keys: Sequence[SigningKey], *, domain: str, seconds: float) -> bytes:
    """A DKIM-Signature field for each key, to be put before `message`. `domain` is an A-label."""
    end = header_end(message, 0, len(message))
    names, signed = signed_fields(split_lines(message[:end]))
    body_hash = base64.b64encode(hashlib.sha256(relaxed_body(message[end:])).digest())
    start = b"DKIM-Signature: v=1"
    return b"".join(signature_field(start, key, domain, int(seconds), names, body_hash, signed) for key in keys)


def signed_fields(lines: list[bytes], also: Sequence[bytes] = ()) -> tuple[list[bytes], bytes]:
    """The names for h=, and the canonical fields that they stand for. `lines` are raw fields, top first.

    `also` are names of more fields to sign, as often as they are there.
    """
    by_name: dict[bytes, list[bytes]] = {}
    for line in reversed(lines):  # §5.4.2: of several, the one at the bottom first
        by_name.setdefault(field_name(line), []).append(line)
    names: list[bytes] = []
    signed: list[bytes] = []
    for name in (*_SEALED, *_SEALED_IF_THERE, *_IF_THERE, *also):
        found = by_name.get(name, [])
        once_more = name in _SEALED or (bool(found) and name in _SEALED_IF_THERE)
        names += [name] * (len(found) + once_more)
        signed += map(relaxed_field, found)
    return names, b"".join(signed)


def signature_field(
    start: bytes, key: SigningKey, domain: str, seconds: int, names: Sequence[bytes], body_hash: bytes, signed: bytes
) -> bytes:
    """A field that begins with `start`: its name and first tag. `signed` are the canonical fields of `names`."""
    unsigned = b"%b; a=%b; c=relaxed/relaxed; d=%b;\r\n\ts=%b; t=%d;\r\n%b;\r\n\tbh=%b;\r\n\tb=" % (
        start,
        key.algorithm.encode(),
        domain.encode(),
        key.selector.encode(),
        seconds,
        _listed(names),
        body_hash,
    )
    return with_value(unsigned, key, signed)


def with_value(unsigned: bytes, key: SigningKey, signed: bytes) -> bytes:
    """A field that ends with an empty b=, signed with what is `signed` before it."""
    # §3.7: the field itself is hashed last, its b= empty and without a CRLF at its end
    value = base64.b64encode(key.sign(signed + relaxed_field(unsigned)[:-2]))
    return unsigned + b"\r\n\t".join(value[at : at + _WIDTH] for at in range(0, len(value), _WIDTH)) + b"\r\n"


def _listed(names: Sequence[bytes]) -> bytes:
    """The tag h=, folded after colons (§3.5)."""
    lines = [b"\th="]
    for at, name in enumerate(names):
        word = name + b":" if at < len(names) - 1 else name
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append(b"\t")
        lines[-1] += word
    return b"\r\n".join(lines)
