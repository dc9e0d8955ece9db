"""DKIM keys of a domain: made in pairs (RSA for everyone, Ed25519 for those who can), published, used, retired.

- A pair is published before it is used, and used only once its records resolve: rotation never signs with a key that
  a receiver cannot find, also where somebody adds the records by hand months later.
- A pair that was used stays published until mail signed with it is surely delivered.
- There is always exactly one pair in use: the first is used at once, as there is nothing better.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_RSA_BITS: Final = 2048  # RFC 8301 §3.2: at least 1024, should be 2048; more does not fit a UDP answer
_VERSION: Final = 1
_DAY: Final = 86_400.0


class DkimSchedule(BaseModel):
    """When keys change; durations are days."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    rotate_days: Annotated[float, Field(gt=0)] | None = 180
    """A pair that was used for so long gets a successor; null: never by itself."""
    lead_days: Annotated[float, Field(ge=0)] = 2
    """A pair is published for at least so long before it is used: longer than records that are missing are cached."""
    keep_days: Annotated[float, Field(ge=0)] = 14
    """A pair stays published for so long after it was used: longer than mail waits in queues."""


class DamagedKeys(Exception):
    """Stored keys that cannot be read. They are left as they are: a person may still mend them."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An RSA and an Ed25519 key (PKCS #8, PEM), published, used and retired together. Times are epoch seconds."""

    id: str
    rsa: bytes = field(repr=False)
    ed25519: bytes = field(repr=False)
    made: float
    used: float | None = None
    """Since when; None: not yet."""
    retired: float | None = None

    @property
    def selectors(self) -> tuple[str, str]:
        """Of the RSA and of the Ed25519 key."""
        return f"{self.id}r", f"{self.id}e"

    def records(self) -> dict[str, str]:
        """TXT records by selector."""
        return dict(zip(self.selectors, map(txt_record, (self.rsa, self.ed25519)), strict=True))


def make(taken: Sequence[str], now: float) -> KeyPair:
    """A new pair, not in use; its id is of the day, and none of `taken`. About 0.1 s of CPU: call it in a thread."""
    day = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("mp%Y%m%d")
    number = 1
    while (id := day if number == 1 else f"{day}-{number}") in taken:
        number += 1
    private_rsa = rsa.generate_private_key(65537, _RSA_BITS)
    return KeyPair(id, _pem(private_rsa), _pem(ed25519.Ed25519PrivateKey.generate()), float(int(now)))


def needs_new(keys: Sequence[KeyPair], now: float, schedule: DkimSchedule) -> bool:
    """Whether a pair is to be made: there is none, or the newest was used long enough."""
    if not keys:
        return True
    used = keys[-1].used
    return schedule.rotate_days is not None and used is not None and now - used >= schedule.rotate_days * _DAY


def advance(
    keys: Sequence[KeyPair], now: float, schedule: DkimSchedule, resolves: Callable[[KeyPair], bool]
) -> tuple[KeyPair, ...]:
    """The pairs, oldest first, after what is due now. `resolves`: whether both records of a pair are in the DNS."""
    if not keys:
        return ()
    now = float(int(now))
    *older, newest = keys
    ripe = now - newest.made >= schedule.lead_days * _DAY
    if newest.used is None and (not older or (ripe and resolves(newest))):
        newest = replace(newest, used=now)
    if newest.used is not None:
        older = [pair if pair.retired is not None else replace(pair, retired=now) for pair in older]
    kept = [pair for pair in older if pair.retired is None or now - pair.retired < schedule.keep_days * _DAY]
    return (*kept, newest)


def in_use(keys: Sequence[KeyPair]) -> KeyPair | None:
    """The pair to sign with."""
    return next((pair for pair in reversed(keys) if pair.used is not None and pair.retired is None), None)


def txt_record(private: bytes) -> str:
    """The record of a key, as one text; a zone file cuts it into strings of 255. RFC 6376 §3.6.1, RFC 8463 §4.2."""
    # ours: proving the primes again takes 20 times as long as all the rest
    public = load_pem_private_key(private, None, unsafe_skip_rsa_key_validation=True).public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        kind, raw = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        kind, raw = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(raw).decode()}"


def dump_state(keys: Sequence[KeyPair], left: float | None) -> bytes:
    """What is kept beside the keys themselves; the same keys give the same bytes. `left`: MailDomain gone since."""
    pairs = [
        {"id": pair.id, "made": _written(pair.made), "used": _written(pair.used), "retired": _written(pair.retired)}
        for pair in keys
    ]
    state = {"version": _VERSION, "pairs": pairs} | ({"left": _written(left)} if left is not None else {})
    return (json.dumps(state, indent=1) + "\n").encode()


def load_state(state: bytes, private: Mapping[str, bytes]) -> tuple[tuple[KeyPair, ...], float | None]:
    """The pairs, with their keys by selector, and since when the MailDomain is gone. Raises DamagedKeys."""
    try:
        written = json.loads(state)
        if written["version"] != _VERSION:
            raise DamagedKeys(f"they are of version {written['version']}, which this operator does not know")
        pairs = tuple(_pair(each, private) for each in written["pairs"])
        for pair in pairs:
            pair.records()
        return pairs, _read(written.get("left"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedKeys(f"{type(error).__name__} in what was stored") from None


def _pair(written: Mapping[str, Any], private: Mapping[str, bytes]) -> KeyPair:
    id, made = str(written["id"]), _read(written["made"])
    if made is None:
        raise ValueError("made")
    return KeyPair(
        id, private[f"{id}r"], private[f"{id}e"], made, _read(written.get("used")), _read(written.get("retired"))
    )


def _written(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(written: str | None) -> float | None:
    return None if written is None else datetime.datetime.fromisoformat(written).timestamp()


def _pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
