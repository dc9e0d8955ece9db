"""Where a Mailbox's password is: in a Secret that its owner offers, or in one that is generated for it.

- A generated Secret is created and never applied over: what stands there under its name is used only if it is this
  very Mailbox's (by UID). To have a new password, delete the Secret, or change what is in it.
- A generated Secret carries a proof of who chose its password, which a person who changes the password cannot make. A
  password with it has 100 random bits, so its hash need not be slow (passwordhash.py).
- No message and no representation has a password in it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from mailoperator.conditions import SECRET_INVALID, SECRET_NAME_TAKEN
from mailoperator.kube import ApiError, Raw
from mailoperator.model import API_VERSION, Mailbox
from mailoperator.offered import LABEL, Refused, offered, value

# no letter or digit that is taken for another one
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_PASSWORD: Final = "password"  # noqa: S105  the name of a key
_VERIFIER: Final = "verifier"
_SUFFIX: Final = "-password"
_LONGEST: Final = 253
PROOF: Final = "mailpod.dev/generated"  # annotation
Proof: TypeAlias = Callable[[Mailbox, str], str]
"""What nobody but the operator can say of a Mailbox's password."""


class Creator(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def create(self, obj: Raw) -> Raw: ...


@dataclass(frozen=True, slots=True)
class Credential:
    """What a Secret holds: a password, or its argon2id hash in PHC form."""

    secret: str
    """The Secret's name, for the status."""
    password: str | None = field(default=None, repr=False)
    verifier: str | None = field(default=None, repr=False)
    random: bool = False
    """Whether the password is one that was generated: 100 random bits."""


async def credential(
    kube: Creator,
    mailbox: Mailbox,
    known: Callable[[str], Raw | None],
    *,
    proof: Proof,
    made: Callable[[Raw], object] = lambda secret: None,
) -> Credential:
    """A Mailbox's, its Secret created where none is named and none there. `known` looks a name of the namespace up in
    the filtered watch; `made` is told a Secret that was created. Raises Refused with the condition's reason, ApiError.
    """
    ref = mailbox.spec.password_secret_ref
    if ref is not None:
        named = await offered(kube, mailbox.metadata.namespace, ref.name, "password", known(ref.name))
        return read(named, ref.key)
    name = generated_name(mailbox)
    secret = known(name) or await kube.get("v1", "Secret", mailbox.metadata.namespace, name)
    if secret is None:
        secret = await _create(kube, mailbox, proof, made)
    elif _owner(secret) != mailbox.metadata.uid:  # a watch that lags behind a Mailbox made anew
        secret = await kube.get("v1", "Secret", mailbox.metadata.namespace, name)
        secret = secret or await _create(kube, mailbox, proof, made)
    if _owner(secret) != mailbox.metadata.uid:
        raise Refused(
            SECRET_NAME_TAKEN,
            f"Secret {name} is there and not this Mailbox's: name it in passwordSecretRef, or remove it",
        )
    found = read(secret, None)
    return replace(found, random=_is_proven(secret, mailbox, found, proof))


def _is_proven(secret: Raw, mailbox: Mailbox, found: Credential, proof: Proof) -> bool:
    said = (secret["metadata"].get("annotations") or {}).get(PROOF, "")
    return found.password is not None and hmac.compare_digest(said.encode(), proof(mailbox, found.password).encode())


def generated_name(mailbox: Mailbox) -> str:
    """`<mailbox>-password`; a name too long for that is cut and told apart by its hash."""
    name = mailbox.metadata.name
    if len(name) + len(_SUFFIX) <= _LONGEST:
        return name + _SUFFIX
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[:200].rstrip('-.')}-{digest}{_SUFFIX}"


def read(secret: Raw, key: str | None) -> Credential:
    """What `key` holds, or by default `password`, else `verifier`. Raises Refused."""
    name = secret["metadata"]["name"]
    for candidate in [key] if key else [_PASSWORD, _VERIFIER]:
        raw = value(secret, candidate)
        if raw is None:
            continue
        text = _text(raw, name, candidate)
        if candidate != _VERIFIER:
            return Credential(name, password=text)
        if not text.startswith("$argon2id$"):
            raise Refused(SECRET_INVALID, f"{candidate} of Secret {name} is not an argon2id hash ($argon2id$…)")
        return Credential(name, verifier=text)
    raise Refused(SECRET_INVALID, f"Secret {name} has no key {key or f'{_PASSWORD}, nor {_VERIFIER}'}")


def build_password_secret(mailbox: Mailbox, password: str, proof: str) -> Raw:
    """A generated one; it goes with its Mailbox."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": "Mailbox",
        "name": mailbox.metadata.name,
        "uid": mailbox.metadata.uid,
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": generated_name(mailbox),
            "namespace": mailbox.metadata.namespace,
            "labels": {LABEL: "password", "app.kubernetes.io/managed-by": "mail-operator"},
            "annotations": {PROOF: proof},
            "ownerReferences": [owner],
        },
        "type": "Opaque",
        "data": {_PASSWORD: base64.b64encode(password.encode()).decode()},
    }


def new_password() -> str:
    """100 bits, in groups that can be read out."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


async def _create(kube: Creator, mailbox: Mailbox, proof: Proof, made: Callable[[Raw], object]) -> Raw:
    """The new one, or whatever took its name in between."""
    password = new_password()
    secret = build_password_secret(mailbox, password, proof(mailbox, password))
    try:
        created = await kube.create(secret)
        made(created)
        return created
    except ApiError as error:
        if error.status != 409:
            raise
    metadata = secret["metadata"]
    found = await kube.get("v1", "Secret", metadata["namespace"], metadata["name"])
    if found is None:  # it was on its way out: its deletion is seen, and this runs again
        raise Refused(SECRET_NAME_TAKEN, f"Secret {metadata['name']} was there a moment ago")
    return found


def _owner(secret: Raw) -> str:
    """The UID of the Mailbox that it was generated for."""
    owners = secret["metadata"].get("ownerReferences") or []
    return next((str(owner.get("uid")) for owner in owners if owner.get("kind") == "Mailbox"), "")


def _text(raw: bytes, name: str, key: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Refused(SECRET_INVALID, f"{key} of Secret {name} is not UTF-8 text") from None
    if not text:
        raise Refused(SECRET_INVALID, f"{key} of Secret {name} is empty")
    if text.endswith("\n"):  # kubectl create secret --from-file of a file that an editor wrote; no client sends it
        raise Refused(SECRET_INVALID, f"{key} of Secret {name} ends with a line break: take it away (printf, not echo)")
    if len(raw) > 1024 or "\0" in text:
        raise Refused(SECRET_INVALID, f"{key} of Secret {name} is longer than 1024 bytes, or has a NUL in it")
    return text
