"""All that an operator has brought about in a namespace and a bucket, so that two worlds can be compared.

What must differ between two worlds is replaced by what it means: a UID by its object's name, an incarnation's random id
by whose it is and which, a time by TIME, a verifier by the Secret whose password it admits, a signature by whether it
is valid. What is left is compared whole.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import argon2
import boto3
import obstore
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from obstore.store import S3Store
from tests.apiserver.harness import ApiServer
from tests.fixtures_seaweed import Seaweed

from mailpod.directory import public_key
from mailpod.store.entries import Verifier

Raw: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]

_KINDS: Final = (
    "api/v1/secrets", "api/v1/services", "api/v1/configmaps", "api/v1/serviceaccounts", "apis/apps/v1/deployments",
    "apis/policy/v1/poddisruptionbudgets", "apis/autoscaling/v2/horizontalpodautoscalers",
    "apis/networking.k8s.io/v1/networkpolicies", "apis/mailpod.dev/v1alpha1/maildomains",
    "apis/mailpod.dev/v1alpha1/mailboxes",
)  # fmt: skip
_NOT_OURS: Final = ("configmaps/kube-root-ca.crt", "serviceaccounts/default")
_VOLATILE: Final = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "managedFields", "lastTransitionTime", "nodePort",
     "healthCheckNodePort", "mailpod.dev/intent"}
)  # fmt: skip
_PATTERNS: Final = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (r"\bp=[A-Za-z0-9+/]{30,}={0,2}", "p=KEY"),
        (r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=", "KEY"),
        (r"[0-9a-f]{16,}", "HEX"),
        (r"\b10\.96\.\d+\.\d+\b", "ADDRESS"),
        (r"\d{4}-\d\d-\d\d(T[0-9:.]+(Z|\+00:00))?", "TIME"),
        (r"\bmp\d{8}", "mpDATE"),
        (r"\b[12]\d{9}\b", "TIME"),
    )
)
_RECENT: Final = 1_000_000_000  # a larger number is a time


class Api:
    """The API server by one connection, as administrator. For one thread."""

    def __init__(self, server: ApiServer) -> None:
        trust = ssl.create_default_context(cafile=str(server.plane.certificate))
        place = urlsplit(server.url)
        self._connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=60, context=trust)
        self._headers = {"Authorization": f"Bearer {server.plane.token}"}

    def ask(self, method: str, path: str, body: Raw | None = None) -> Raw:
        """Raises AssertionError for any refusal."""
        text = json.dumps(body) if body is not None else None
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self._connection.request(method, f"/{path}", text, {**self._headers, "Content-Type": kind})
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {data.decode()[:500]}"
        return dict(json.loads(data))

    def listed(self, kind: str, namespace: str) -> list[Raw]:
        group, _, plural = kind.rpartition("/")
        return list(self.ask("GET", f"{group}/namespaces/{namespace}/{plural}")["items"])

    def close(self) -> None:
        self._connection.close()


class Bucket:
    """A bucket of the test's, with everything in it."""

    def __init__(self, server: Seaweed, name: str) -> None:
        self.name = name
        self._store = S3Store(
            name,
            endpoint=server.endpoint,
            region=server.region,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            client_options={"allow_http": True},
        )
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=server.endpoint,
            region_name=server.region,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )

    def objects(self) -> dict[str, bytes]:
        """{} where there is no bucket."""
        found: dict[str, bytes] = {}
        try:
            for page in obstore.list(self._store):
                for item in page:
                    try:
                        found[item["path"]] = bytes(obstore.get(self._store, item["path"]).bytes())
                    except FileNotFoundError:  # gone since
                        continue
        except obstore.exceptions.GenericError as error:
            if "NoSuchBucket" not in str(error):
                raise
        return found

    def settings(self) -> State:
        """What boto3 set on it."""
        questions: dict[str, Callable[..., Raw]] = {
            "versioning": self._client.get_bucket_versioning,
            "lifecycle": self._client.get_bucket_lifecycle_configuration,
            "public access": self._client.get_public_access_block,
        }
        return {name: self._setting(ask) for name, ask in questions.items()}

    def _setting(self, ask: Callable[..., Raw]) -> Any:
        try:
            return {name: value for name, value in ask(Bucket=self.name).items() if name != "ResponseMetadata"}
        except self._client.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    def make(self) -> None:
        """As a person does, for a MailDomain that adopts it."""
        self._client.create_bucket(Bucket=self.name)

    def versions(self, prefix: str) -> list[str]:
        """Keys of all versions and delete markers below a prefix."""
        answer = self._client.list_object_versions(Bucket=self.name, Prefix=prefix)
        return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, [])]

    def remove(self) -> None:
        """The bucket, as it is: its room is another's."""
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self.name):
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                self._client.delete_object(Bucket=self.name, Key=one["Key"], VersionId=one["VersionId"])
        self._client.delete_bucket(Bucket=self.name)


def secrets(api: Api, namespace: str) -> dict[tuple[str, str], str]:
    """Every value in every Secret, by the Secret's name and its key."""
    found = api.listed("api/v1/secrets", namespace)
    return {(one["metadata"]["name"], key): text for one in found for key, text in (one.get("data") or {}).items()}


def state(api: Api, namespace: str, bucket: Bucket, prefix: str) -> State:
    """The whole of it."""
    objects = {
        f"{kind.rpartition('/')[2]}/{raw['metadata']['name']}": raw
        for kind in _KINDS
        for raw in api.listed(kind, namespace)
    }
    held = bucket.objects()
    words = _Words(objects, held, namespace, bucket.name)
    cluster = {name: words.object(name, raw) for name, raw in objects.items() if name not in _NOT_OURS}
    signed = Verifier([public_key(base64.b64decode(words.signing_key))]) if words.signing_key else None
    inside = {key: words.content(key.removeprefix(f"{prefix}/"), data, signed) for key, data in held.items()}
    return {
        "cluster": cluster,
        "bucket": {words.text(key): content for key, content in inside.items()},
        "settings": words.plain(bucket.settings()),
    }


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two states differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted(map(str, one.keys() | other.keys()))
        return [line for name in names for line in differences(one.get(name), other.get(name), f"{path} {name}")]
    return [] if one == other else [f"{path.strip()}: {json.dumps(one)} / {json.dumps(other)}"]


class _Words:
    """What the names, ids and texts of one world mean."""

    def __init__(self, objects: dict[str, Raw], held: dict[str, bytes], namespace: str, bucket: str) -> None:
        self._meaning = {raw["metadata"]["uid"]: f"UID of {name}" for name, raw in objects.items()}
        for key, data in held.items():
            if "/incarnation/" in key:
                account, number = key.split("directory/")[1].split("/incarnation/")
                self._meaning[json.loads(data)["id"]] = f"INCARNATION {int(number)} of {account}"
        self._meaning |= {namespace: "NAMESPACE", bucket: "BUCKET"}
        self._passwords = {
            name: base64.b64decode(raw["data"]["password"]).decode()
            for name, raw in objects.items()
            if name.startswith("secrets/") and "password" in (raw.get("data") or {})
        }
        signing = objects.get("secrets/mailpod-signing-key", {}).get("data") or {}
        self.signing_key: str = signing.get("signing.key", "")

    def text(self, text: str) -> str:
        for found, meaning in self._meaning.items():
            text = text.replace(found, meaning)
        for pattern, meaning in _PATTERNS:
            text = pattern.sub(meaning, text)
        return text

    def plain(self, value: Any) -> Any:
        """Any JSON, in words; without what is volatile by its name."""
        if isinstance(value, dict):
            kept = {name: item for name, item in value.items() if name not in _VOLATILE}
            return {self.text(name): self.plain(item) for name, item in kept.items()}
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, str):
            return self._verifier(value) if value.startswith("$argon2id$") else self.text(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > _RECENT:
            return "TIME"
        return value

    def object(self, name: str, raw: Raw) -> Any:
        if name.startswith("secrets/"):
            files = {key: base64.b64decode(text) for key, text in (raw.get("data") or {}).items()}
            raw = {**raw, "data": {key: self._secret(key, data, files) for key, data in files.items()}}
        elif not name.startswith(("mailboxes/", "maildomains/")):
            raw = {key: value for key, value in raw.items() if key != "status"}  # the controllers'
        return self.plain(raw)

    def _secret(self, key: str, data: bytes, files: dict[str, bytes]) -> Any:
        """What a value in a Secret is, without what is random in it."""
        if key.endswith(".crt"):
            leaf = x509.load_pem_x509_certificate(data)
            fits = load_pem_private_key(files[f"{key[:-4]}.key"], None).public_key() == leaf.public_key()
            return (
                f"certificate of {leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value}: {fits}"
            )
        if key.endswith((".key", ".dkim", "password")):
            return f"{'some' if data else 'no'} secret bytes"
        return json.loads(data) if key.endswith(".json") else data.decode()

    def content(self, key: str, data: bytes, signed: Verifier | None) -> Any:
        """An object of the bucket; `key` is relative to the prefix."""
        if key.endswith(("/address", "/!domain")):
            assert signed is not None
            signed.open(key, data)  # raises for what is not signed
        lines = data.decode().splitlines()
        if not lines or not lines[0].startswith("{"):
            return self.text(data.decode())
        found = json.loads(lines[0])
        found.pop("version", None)
        return self.plain(found)

    def _verifier(self, text: str) -> str:
        for name, password in self._passwords.items():
            if _admits(text, password):
                return f"verifier of the password in {name}"
        return "verifier of no password that is known"


@lru_cache(maxsize=4096)
def _admits(verifier: str, password: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(verifier, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
