"""The operator's memory of the cluster: raw objects by kind and key, as the watches last told.

A watch can miss a deletion (kopf does not compare after a re-list), so a sweep replaces a kind by a complete LIST.
Nothing is withdrawn from a directory on this memory's word alone (OPERATOR.md rule 34). An object of which the API said
that it is no more does not come back with a list, or an answer, that is older than its end: a UID is given once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from mailoperator.build.names import certificate_secret_of
from mailpod.addresses import normalize_domain, normalize_local_part

Raw: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str]  # namespace, name
_OURS: Final = ("MailDomain", "Mailbox")
TLS_SECRET: Final = "TLS Secret"  # noqa: S105  a kind of our own: what tlswatch.py tells, metadata alone
_BOOKKEEPING: Final = ("managedFields", "selfLink")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def key_of(raw: Raw) -> Key:
    metadata = raw["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _indexed(raw: Raw) -> Iterator[tuple[str, object]]:
    """Under what a kind's objects are looked up: index name and value."""
    spec, namespace = raw.get("spec") or {}, key_of(raw)[0]
    if raw["kind"] == "Mailbox":
        domain = namespace, (spec.get("domainRef") or {}).get("name", "")
        yield "domain", domain
        for local in _local_parts(raw):
            yield "local part", (domain, local)
        if ref := spec.get("passwordSecretRef"):
            yield "secret", (namespace, ref.get("name", ""))
        elif name := (raw.get("status") or {}).get("passwordSecretName"):
            yield "secret", (namespace, name)
    elif raw["kind"] == "MailDomain":
        if ref := spec.get("servedByRef"):
            yield "host", (namespace, ref.get("name", ""))
        for name in domain_names_of(raw):
            yield "name", name
        for name in _secrets_of(spec, key_of(raw)[1]):
            yield "secret", (namespace, name)


def domain_names_of(raw: Raw) -> Iterator[str]:
    """Names of a MailDomain as A-labels, its domainName first."""
    spec = raw.get("spec") or {}
    for written in [spec.get("domainName", ""), *(spec.get("aliasDomains") or [])]:
        try:
            yield normalize_domain(written)
        except ValueError:
            continue


def _local_parts(raw: Raw) -> Iterator[str]:
    spec = raw.get("spec") or {}
    for written in [spec.get("localPart") or key_of(raw)[1], *(spec.get("aliases") or [])]:
        try:
            yield normalize_local_part(written)
        except ValueError:
            continue


def _secrets_of(spec: Raw, name: str) -> Iterator[str]:
    if (spec.get("tls") or {}).get("issuerRef"):
        yield certificate_secret_of(name)
    server = spec.get("server") or {}
    for holder, field in ((spec.get("tls") or {}, "secretRef"), (server.get("storage") or {}, "credentialsSecretRef")):
        if ref := holder.get(field):
            yield ref.get("name", "")
    smarthost = (spec.get("outbound") or {}).get("smarthost") or {}
    if ref := smarthost.get("credentialsSecretRef"):
        yield ref.get("name", "")


class World:
    """Raw objects, treated as immutable by everyone."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Raw]] = defaultdict(dict)
        self._indices: dict[tuple[str, str], dict[object, dict[Key, None]]] = defaultdict(lambda: defaultdict(dict))
        self.listed: set[str] = set()  # kinds that a complete LIST has filled
        self.gone: dict[tuple[str, Key], Raw] = {}  # of our kinds: what is published of them is to be withdrawn
        self._ended: set[str] = set()  # UIDs, since the last sweep
        self._ended_before: set[str] = set()  # in the sweep before

    def get(self, kind: str, key: Key) -> Raw | None:
        return self._objects[kind].get(key)

    def all(self, kind: str) -> list[Raw]:
        return list(self._objects[kind].values())

    def keys(self, kind: str) -> list[Key]:
        return list(self._objects[kind])

    def count(self, kind: str) -> int:
        return len(self._objects[kind])

    def put(self, raw: Raw) -> bool:
        """Take in an object as it was seen; False where that is what was known. An older one than known is ignored."""
        kind, key = raw["kind"], key_of(raw)
        uid = raw["metadata"].get("uid")
        if uid in self._ended or uid in self._ended_before:
            return False
        before = self._objects[kind].get(key)
        if before is not None and not _is_news(before, raw):
            return False
        if before is not None and before["metadata"].get("uid") != raw["metadata"].get("uid"):
            self._bury(kind, key)
        self._forget(kind, key)
        slim = _slim(raw)
        self._objects[kind][key] = slim
        for index, value in _indexed(slim):
            self._indices[kind, index][value][key] = None
        return True

    def remove(self, kind: str, key: Key, *, uid: str | None = None) -> bool:
        """The object is gone; with `uid`, only where it is still that one."""
        before = self._objects[kind].get(key)
        if before is None or (uid and before["metadata"].get("uid") != uid):
            return False
        self._bury(kind, key)
        return True

    def end(self, raw: Raw) -> None:
        """The API has no such object any more, of the UID of `raw`, and never will."""
        kind, key, uid = raw["kind"], key_of(raw), raw["metadata"]["uid"]
        self._ended.add(uid)
        there = self._objects[kind].get(key)
        if there is not None and there["metadata"].get("uid") == uid:
            self._forget(kind, key)

    def swept(self) -> None:
        """All kinds were listed anew. Lists that are begun from now on have nothing that had ended before."""
        self._ended, self._ended_before = set(), self._ended

    def replace(
        self, kind: str, listed: Iterable[Raw], *, within: Callable[[Key], bool] = lambda key: True
    ) -> set[Key]:
        """Make the keys `within` what a complete LIST says; the keys that were news, deletions among them."""
        found = {key_of(raw): raw for raw in listed}
        gone = {key for key in self._objects[kind] if within(key) and key not in found}
        for key in gone:
            self._bury(kind, key)
        self.listed.add(kind)
        return gone | {key for key, raw in found.items() if self.put(raw)}

    def lives(self, kind: str, uid: str) -> bool:
        """Whether an object is there, or is missed and nobody has asked the API yet whether it is gone."""
        buried = (raw for (one, _), raw in self.gone.items() if one == kind)
        return any(raw["metadata"]["uid"] == uid for raw in (*self._objects[kind].values(), *buried))

    def mailboxes_of(self, domain: Key) -> list[Raw]:
        return self._by("Mailbox", "domain", domain)

    def with_local_part(self, domain: Key, local: str) -> list[Raw]:
        """Mailboxes of a MailDomain that want this local part (normalised), as theirs or as an alias."""
        return self._by("Mailbox", "local part", (domain, local))

    def served_by(self, host: Key) -> list[Raw]:
        """MailDomains whose servedByRef names this one."""
        return self._by("MailDomain", "host", host)

    def with_name(self, domain_name: str) -> list[Raw]:
        """MailDomains that have this domain name (an A-label), aliases included."""
        return self._by("MailDomain", "name", domain_name)

    def users_of_secret(self, key: Key) -> list[Raw]:
        """Mailboxes and MailDomains that refer to a Secret."""
        return [*self._by("Mailbox", "secret", key), *self._by("MailDomain", "secret", key)]

    def _by(self, kind: str, index: str, value: object) -> list[Raw]:
        return [self._objects[kind][key] for key in self._indices[kind, index].get(value, ())]

    def _bury(self, kind: str, key: Key) -> None:
        if kind in _OURS:
            self.gone[kind, key] = self._objects[kind][key]
        self._forget(kind, key)

    def _forget(self, kind: str, key: Key) -> None:
        before = self._objects[kind].pop(key, None)
        if before is None:
            return
        for index, value in _indexed(before):
            keys = self._indices[kind, index][value]
            keys.pop(key, None)
            if not keys:
                del self._indices[kind, index][value]


def _is_news(before: Raw, raw: Raw) -> bool:
    old, new = before["metadata"], raw["metadata"]
    if old.get("uid") != new.get("uid"):
        return True
    old_version, new_version = old.get("resourceVersion", ""), new.get("resourceVersion", "")
    if old_version.isdigit() and new_version.isdigit():  # comparable: KEP-5504
        return int(new_version) > int(old_version)
    return bool(old_version != new_version)


def _slim(raw: Raw) -> Raw:
    """Without what only costs memory: 5,000 Mailboxes are kept."""
    metadata = {name: value for name, value in raw["metadata"].items() if name not in _BOOKKEEPING}
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    return {**raw, "metadata": metadata}
