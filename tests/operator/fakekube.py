"""An API server in memory, as far as the operator looks: server-side apply with owners, conflicts, finalizers, uids.

What it does not do (schemas, defaults, CEL, garbage collection) is tested against the real one in tests/apiserver.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any, TypeAlias

from mailoperator.kube import MANAGER, STATUS_MANAGER, ApiError, event_object

Raw: TypeAlias = dict[str, Any]
Id: TypeAlias = tuple[str, str, str, str]  # api version, kind, namespace, name
Path: TypeAlias = tuple[str, ...]


class Killed(BaseException):
    """The operator's process ended."""


class FakeKube:
    """The methods of mailoperator.kube.Kube. `log` has every write that was carried out, as (verb, kind, name)."""

    def __init__(self) -> None:
        self.objects: dict[Id, Raw] = {}
        self.log: list[tuple[str, str, str]] = []
        self.events: list[Raw] = []
        self.apis: set[tuple[str, str]] = set()
        self.fail: list[ApiError] = []  # the next writes fail with these, in order
        self.down = False
        self.die_after: int | None = None  # writes, until which the process lives
        self._owned: dict[Id, dict[str, set[Path]]] = {}
        self._versions, self._uids = itertools.count(1), itertools.count(1)

    @property
    def writes(self) -> int:
        return len(self.log)

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None:
        self._up()
        found = self.objects.get((api_version, kind, namespace or "", name))
        return copy.deepcopy(found)

    async def list(self, api_version: str, kind: str, namespace: str | None, *, labels: str = "") -> list[Raw]:
        self._up()
        wanted = dict(part.split("=") for part in labels.split(",") if "=" in part)
        present = [part for part in labels.split(",") if part and "=" not in part]
        return [
            copy.deepcopy(raw)
            for (version, k, ns, _), raw in self.objects.items()
            if (version, k) == (api_version, kind) and (not namespace or ns == namespace) and _has(raw, wanted, present)
        ]

    async def apply(self, obj: Raw, *, force: bool = True, manager: str = MANAGER) -> Raw:
        self._before_write()
        where = _id(obj)
        if where not in self.objects:
            if obj["metadata"].get("uid"):
                raise ApiError(409, "Conflict", "uid mismatch")
            self.objects[where] = self._new({"apiVersion": where[0], "kind": where[1], "metadata": {}}, obj)
        return self._merge(where, obj, manager, "apply", {n: v for n, v in obj.items() if n != "status"})

    async def apply_status(self, obj: Raw) -> Raw:
        self._before_write()
        where = _id(obj)
        self._same(where, obj)
        return self._merge(where, obj, STATUS_MANAGER, "status", {"status": obj.get("status", {})})

    async def merge(self, obj: Raw, patch: Raw) -> Raw:
        self._before_write()
        where = _id(obj)
        live = self.objects.get(where)
        if live is None:
            raise ApiError(404, "NotFound", "")
        version = patch.get("metadata", {}).get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "changed meanwhile")
        _merge_patch(live, patch)
        return self._wrote("merge", where)

    async def create(self, obj: Raw) -> Raw:
        self._before_write()
        where = _id(obj)
        if where in self.objects:
            raise ApiError(409, "AlreadyExists", "")
        self.objects[where] = self._new(copy.deepcopy(obj), obj)
        return self._wrote("create", where)

    async def update(self, obj: Raw) -> Raw:
        self._before_write()
        where = _id(obj)
        live = self.objects.get(where)
        if live is None:
            raise ApiError(404, "NotFound", "")
        if obj["metadata"].get("resourceVersion", "") != live["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "changed meanwhile")
        self.objects[where] = copy.deepcopy(obj)
        return self._wrote("update", where)

    async def delete(
        self, api_version: str, kind: str, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        self._before_write()
        where = (api_version, kind, namespace or "", name)
        live = self.objects.get(where)
        if live is None:
            return
        if uid and live["metadata"]["uid"] != uid:
            raise ApiError(409, "Conflict", "uid")
        live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self._wrote("delete", where)

    async def event(self, regarding: Raw, *, type: str, reason: str, note: str) -> None:
        self._up()
        self.events.append(event_object(regarding, type=type, reason=reason, note=note, instance="fake", now=0.0))

    async def has_api(self, group_version: str, kind: str) -> bool:
        return (group_version, kind) in self.apis

    async def version(self) -> Raw:
        self._up()
        return {"major": "1"}

    # what a person does: not counted

    def user_applies(self, *objects: Raw) -> None:
        for obj in objects:
            where = _id(obj)
            if where in self.objects:
                live = self.objects[where]
                changed = live.get("spec") != obj.get("spec")
                live |= {n: copy.deepcopy(v) for n, v in obj.items() if n not in ("metadata", "status")}
                live["metadata"] |= {n: v for n, v in obj["metadata"].items() if n in ("labels", "annotations")}
                if changed:
                    live["metadata"]["generation"] += 1
                live["metadata"]["resourceVersion"] = str(next(self._versions))
            else:
                self.objects[where] = self._new(copy.deepcopy(obj), obj)

    def user_deletes(self, api_version: str, kind: str, namespace: str, name: str) -> None:
        where = (api_version, kind, namespace, name)
        self.objects[where]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.objects[where]["metadata"]["resourceVersion"] = str(next(self._versions))
        self._collect(where)

    def state(self) -> dict[Id, Raw]:
        """Everything, without what differs between two runs that ended alike."""
        return {where: _comparable(raw) for where, raw in sorted(self.objects.items()) if where[1] != "Lease"}

    def _up(self) -> None:
        if self.down:
            raise ApiError(0, "Unreachable", "the API server is down")

    def _before_write(self) -> None:
        self._up()
        if self.die_after is not None and len(self.log) >= self.die_after:
            raise Killed
        if self.fail:
            raise self.fail.pop(0)

    def _same(self, where: Id, obj: Raw) -> None:
        if where not in self.objects:
            raise ApiError(404, "NotFound", f"{where} not found")
        uid = obj["metadata"].get("uid")
        if uid and uid != self.objects[where]["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "uid mismatch")

    def _new(self, made: Raw, obj: Raw) -> Raw:
        number = next(self._uids)
        made["metadata"] = {
            "creationTimestamp": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
            "generation": 1,
            "uid": f"uid-{number}",
            **obj["metadata"],
            "resourceVersion": str(next(self._versions)),
        }
        return made

    def _merge(self, where: Id, obj: Raw, manager: str, verb: str, intent: Raw) -> Raw:
        """Server-side apply: what this manager alone owned and no longer names goes."""
        self._same(where, obj)
        live = self.objects[where]
        owners = self._owned.setdefault(where, {})
        fields = set(_paths(intent))
        others = set[Path]().union(*(paths for name, paths in owners.items() if name != manager))
        for path in owners.get(manager, set()) - fields - others:
            _drop(live, path)
        before = copy.deepcopy(live.get("spec"))
        _set(live, intent)
        owners[manager] = fields
        if before != live.get("spec"):
            live["metadata"]["generation"] += 1
        return self._wrote(verb, where)

    def _wrote(self, verb: str, where: Id) -> Raw:
        self.log.append((verb, where[1], where[3]))
        self.objects[where]["metadata"]["resourceVersion"] = str(next(self._versions))
        written = copy.deepcopy(self.objects[where])
        self._collect(where)
        return written

    def _collect(self, where: Id) -> None:
        metadata = self.objects[where]["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            del self.objects[where]
            self._owned.pop(where, None)


def _id(obj: Raw) -> Id:
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def _has(raw: Raw, wanted: dict[str, str], present: list[str]) -> bool:
    labels = raw["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in wanted.items()) and all(n in labels for n in present)


def _paths(intent: Any, at: Path = ()) -> Iterator[Path]:
    """The leaves; a list is one, except that it is atomic here."""
    if isinstance(intent, dict) and intent:
        for name, value in intent.items():
            yield from _paths(value, (*at, name))
    elif at not in (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid")):
        yield at


def _set(live: Raw, intent: Raw) -> None:
    for name, value in intent.items():
        if isinstance(value, dict):
            if not isinstance(live.get(name), dict):
                live[name] = {}
            _set(live[name], value)
        else:
            live[name] = copy.deepcopy(value)


def _drop(live: Raw, path: Path) -> None:
    for name in path[:-1]:
        live = live.get(name) or {}
    live.pop(path[-1], None)


def _merge_patch(live: Raw, patch: Raw) -> None:
    for name, value in patch.items():
        if value is None:
            live.pop(name, None)
        elif isinstance(value, dict):
            _merge_patch(live.setdefault(name, {}), value)
        else:
            live[name] = value


def _comparable(raw: Raw) -> Raw:
    """Without versions, uids and times."""
    if isinstance(raw, dict):
        skipped = ("resourceVersion", "uid", "creationTimestamp", "lastTransitionTime", "managedFields", "generation")
        return {name: _comparable(value) for name, value in raw.items() if name not in skipped}
    return [_comparable(item) for item in raw] if isinstance(raw, list) else raw
