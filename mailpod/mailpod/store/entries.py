"""Directory entries: what the operator says of an address or a domain, and how a pod knows that the operator said it.

An object is two lines, so that `head -1` and `jq` read it:

    <the entry: one line of JSON, its "kind" is mailbox, alias or domain>
    <key id: 16 hex digits> <Ed25519 signature: base64>

The signature covers `mailpod directory 1`, LF, the object's key, LF, and the first line: an entry is worth nothing at
another address. The key id is the beginning of the SHA-256 of the raw public key, and only chooses among several.
Fields that a reader does not know are ignored; an entry whose `min_reader` is above READER is not used at all.
`version` never goes back at one key: it is the publisher's clock in milliseconds, or one more than the one before.
`writer` grows with the fields that a publisher knows: one that knows fewer never rewrites the entry. `orphaned` is the
Unix time since when its owner is missed: until it is withdrawn, pods answer that the address is not available just now.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mailpod.store.names import address_key, domain_key

READER: Final = 1  # what this version can read; entries name what they need
WRITER: Final = 7  # the fields that this version knows and writes
_CONTEXT: Final = b"mailpod directory 1\n"


class BadEntry(ValueError):
    """An object in the directory that nobody trusted signed for this key, or that cannot be read."""


class TooNew(BadEntry):
    """Signed, and written for readers newer than this one."""


class MailboxEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="mailbox"):
    """An address with mail of its own."""

    kind: ClassVar[str] = "mailbox"
    address: str
    domain: str  # an A-label
    local: str  # normalised, not encoded
    incarnation: str = ""  # the random id; a hint (STORE.md rule 14)
    incarnation_number: int = 0
    verifiers: tuple[str, ...] = ()  # argon2id in PHC form; any of them logs in
    quota_bytes: int | None = None  # None: no limit
    quota_messages: int | None = None
    protocols: tuple[str, ...] = ("smtp", "imap", "pop3")  # that may be logged in to; smtp is submission
    retention: dict[str, int] = {}  # folder -> days after which a message that came into it is deleted
    suspended: bool = False
    forward_to: tuple[str, ...] = ()  # addresses, elsewhere only where the domain's `forwarding` allows it
    keep_copy: bool = True  # of what is forwarded
    owner: str = ""  # uid of the Mailbox resource
    generation: int = 0  # of the Mailbox resource
    version: int = 0
    min_reader: int = 1
    writer: int = WRITER
    orphaned: int = 0


class AliasEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="alias"):
    """Another address of mailboxes. Targets are mailboxes, never aliases: one step, and no loops."""

    kind: ClassVar[str] = "alias"
    address: str
    domain: str
    local: str
    targets: tuple[str, ...]
    owner: str = ""
    generation: int = 0
    version: int = 0
    min_reader: int = 1
    writer: int = WRITER
    orphaned: int = 0


class DomainEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="domain"):
    """A domain that is served, and what holds for all of it. An address without it is not served."""

    kind: ClassVar[str] = "domain"
    name: str  # an A-label
    hostname: str  # what the server calls itself: banner, HELO, Received
    max_message_bytes: int
    sender_policies: str = "enforce"  # or "report": what DMARC wants of mail that comes in is only written down
    trusted_sealers: tuple[str, ...] = ()  # domains whose ARC seals vouch for what DMARC would refuse
    forwarding: str = "internal"  # or "listed", "any": the domains elsewhere that its mailboxes' mail may go on to
    forwarding_domains: tuple[str, ...] = ()  # of "listed"
    postmaster: str | None = None  # the address whose mailbox gets postmaster@ and abuse@
    mta_sts: str = ""  # the mode of its MTA-STS policy (RFC 8461 §5); empty: it has none
    groups: dict[str, tuple[str, ...]] = {}  # by local part, normalised: addresses of the members
    catch_all: str | None = None  # the address whose mailbox gets what is nobody else's
    reads: tuple[str, ...] = ()  # later operations (ops.py LATER) that every pod of the domain reads
    owner: str = ""
    generation: int = 0
    version: int = 0
    min_reader: int = 1
    writer: int = WRITER
    orphaned: int = 0


AddressEntry: TypeAlias = MailboxEntry | AliasEntry
Entry: TypeAlias = MailboxEntry | AliasEntry | DomainEntry


def new_signing_key() -> bytes:
    """A private key for entries: 32 bytes, to be kept outside the bucket."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key(signing_key: bytes) -> bytes:
    """What pods check entries with: 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(signing_key).public_key().public_bytes_raw()


class _Envelope(msgspec.Struct):
    """What every version of an entry has."""

    min_reader: int


class Verifier:
    """Checks entries against the public keys that are trusted now; two during a rotation."""

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        """Raw public keys, 32 bytes each."""
        self._keys: Mapping[str, Ed25519PublicKey] = {
            key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in public_keys
        }

    def open(self, key: str, data: bytes) -> Entry:
        """The entry in the object at `key`. Raises BadEntry, TooNew."""
        payload, _, signature_line = data.partition(b"\n")
        try:
            name, signature = signature_line.decode("ascii").split()
            self._keys[name].verify(base64.b64decode(signature, validate=True), signed_bytes(key, payload))
        except (ValueError, KeyError, InvalidSignature):
            raise BadEntry(f"{key} has no valid signature") from None
        return _decode(key, payload)


def seal(entry: Entry, signing_key: Ed25519PrivateKey) -> bytes:
    """The object that holds `entry` at `entry_key(entry)`."""
    payload = msgspec.json.encode(entry)
    signature = base64.b64encode(signing_key.sign(signed_bytes(entry_key(entry), payload)))
    name = key_id(signing_key.public_key().public_bytes_raw())
    return b"%b\n%b %b\n" % (payload, name.encode(), signature)


def entry_key(entry: Entry) -> str:
    """Where the entry lies in the bucket."""
    if isinstance(entry, DomainEntry):
        return domain_key(entry.name)
    return address_key(entry.domain, entry.local)


def key_id(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()[:16]


def signed_bytes(key: str, payload: bytes) -> bytes:
    return b"%b%b\n%b" % (_CONTEXT, key.encode(), payload)


def _decode(key: str, payload: bytes) -> Entry:
    try:
        if msgspec.json.decode(payload, type=_Envelope).min_reader > READER:
            raise TooNew(f"{key} needs a newer version of Mailpod")
        entry: Entry = msgspec.json.decode(payload, type=Entry)
    except msgspec.MsgspecError as error:
        raise BadEntry(f"{key}: {error}") from None
    if entry_key(entry) != key:
        raise BadEntry(f"{key} holds the entry of {entry_key(entry)}")
    return entry


def parse_entry(key: str, data: bytes) -> Entry:
    """The entry in the object at `key`, whoever signed it: for people and tools, never to admit anybody.

    Raises BadEntry, TooNew.
    """
    payload, _, _ = data.partition(b"\n")
    return _decode(key, payload)
