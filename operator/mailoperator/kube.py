"""The Kubernetes API, as far as the operator needs it: raw dicts, every request with a deadline.

No method retries (the queue does), and none raises anything but ApiError: status 0 is no answer at all. Writes go
through one place, where they are counted.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote, urlencode

import aiohttp
import kopf
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from mailoperator.metrics import API_REQUESTS

Raw: TypeAlias = dict[str, Any]
Raws: TypeAlias = list[Raw]
MANAGER: Final = "mailpod"
STATUS_MANAGER: Final = "mailpod-status"
COMPONENT: Final = "mailpod.dev/operator"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)
_WATCH: Final = aiohttp.ClientTimeout(total=None, connect=10, sock_read=330)
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE: Final = 500
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"


class ApiError(Exception):
    """The API server's refusal, as its Status says it; `status` is HTTP's, 0 where nothing answered."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason or status}: {message}")
        self.status, self.reason, self.message = status, reason, message


def path_of(api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
    """The resource's path; `namespace` None is all of them, or a kind that has none."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{place}/{plural(kind)}" + (f"/{quote(name, safe='')}" if name else "")


def plural(kind: str) -> str:
    """The resource of a kind, by English; right for every kind that Mailpod touches."""
    lower = kind.lower()
    if lower.endswith(("x", "ss")):
        return f"{lower}es"
    if lower.endswith("y"):
        return f"{lower[:-1]}ies"
    return lower if lower.endswith("s") else f"{lower}s"


def event_object(regarding: Raw, *, type: str, reason: str, note: str, instance: str, now: float) -> Raw:
    """An Event of events.k8s.io/v1 about an object, in its namespace."""
    metadata = regarding["metadata"]
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name'][:220]}.{uuid.uuid4().hex[:16]}",
            "namespace": metadata.get("namespace", "default"),
        },
        "eventTime": moment,
        "reportingController": COMPONENT,
        "reportingInstance": instance[:128] or "operator",
        "action": "Reconcile",
        "reason": reason,
        "type": type,
        "note": note[:1024],
        "regarding": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
        },
    }


class Kube:
    """A client. `writes` counts every request that could change something."""

    def __init__(self, client: ApiClient, *, instance: str = "") -> None:
        self._client = client
        self._instance = instance
        self._known: dict[str, set[str]] = {}  # group version -> kinds, as discovery says
        self.writes = 0

    @classmethod
    async def connect(cls, *, kubeconfig: str | None = None, instance: str = "") -> Kube:
        """By a kubeconfig file, else as a pod of the cluster, else by the user's own kubeconfig."""
        configuration = Configuration()
        if kubeconfig is not None:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            try:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            except config.ConfigException:
                await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = 64
        return cls(ApiClient(configuration), instance=instance)

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None:
        """The object; None where there is none, or no such API."""
        try:
            return await self.request("GET", path_of(api_version, kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, api_version: str, kind: str, namespace: str | None, *, labels: str = "") -> list[Raw]:
        """All of them, of one moment: a list that is cut short raises."""
        query = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        found: list[Raw] = []
        while True:
            page = await self.request("GET", path_of(api_version, kind, namespace), query)
            items, metadata = page.get("items", ""), page.get("metadata")
            items = [] if items is None else items  # Go's empty list
            if not isinstance(items, list) or not isinstance(metadata, dict):
                raise ApiError(0, "NotAList", f"the answer for {plural(kind)} is no list")
            found += [{"apiVersion": api_version, "kind": kind} | item for item in items]
            if not (token := metadata.get("continue")):
                return found
            query["continue"] = token

    async def list_metadata(
        self, api_version: str, kind: str, namespace: str | None, *, fields: str
    ) -> tuple[Raws, str]:
        """Metadata alone of what a field selector chooses, and where a watch of the same goes on from."""
        query = {"fieldSelector": fields}
        page = await self.request("GET", path_of(api_version, kind, namespace), query, accept=_METADATA_LIST)
        return list(page.get("items") or []), str(page["metadata"]["resourceVersion"])

    async def watch_metadata(
        self, api_version: str, kind: str, namespace: str | None, *, fields: str, since: str
    ) -> AsyncIterator[tuple[str, Raw]]:
        """Events after `since`: type and metadata, until the API server ends it, which it does every few minutes.

        Raises ApiError, of status 410 where `since` is too old.
        """
        query = {"fieldSelector": fields, "watch": "true", "resourceVersion": since, "timeoutSeconds": "300"}
        answer = await self._send(
            "GET", path_of(api_version, kind, namespace), query, accept=_METADATA, deadlines=_WATCH
        )
        rest = b""
        try:
            if answer.status != 200:
                _decode(answer.status, await answer.read())
            async for part in answer.response.content.iter_any():
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    told = json.loads(line)
                    if told["type"] == "ERROR":
                        status = told["object"]
                        raise ApiError(int(status.get("code", 0)), status.get("reason", ""), status.get("message", ""))
                    yield told["type"], told["object"]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from None
        finally:
            answer.response.close()

    async def apply(self, obj: Raw, *, force: bool = True, manager: str = MANAGER) -> Raw:
        """Server-side apply of the whole intent."""
        return await self._apply(obj, "", manager, force)

    async def apply_status(self, obj: Raw) -> Raw:
        """Server-side apply on the status subresource. `metadata.uid` there keeps it from another object."""
        return await self._apply(obj, "/status", STATUS_MANAGER, True)

    async def _apply(self, obj: Raw, subresource: str, manager: str, force: bool) -> Raw:
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self.request("PATCH", _path(obj) + subresource, query, obj, _APPLY)

    async def merge(self, obj: Raw, patch: Raw) -> Raw:
        """JSON merge patch; with `metadata.resourceVersion` in it, ApiError 409 where the object has changed."""
        return await self.request("PATCH", _path(obj), {"fieldManager": MANAGER}, patch, _MERGE)

    async def create(self, obj: Raw) -> Raw:
        """ApiError 409 where it exists."""
        path = path_of(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace"))
        return await self.request("POST", path, {"fieldManager": MANAGER}, obj)

    async def update(self, obj: Raw) -> Raw:
        """Replace; ApiError 409 where `metadata.resourceVersion` is not the current one."""
        return await self.request("PUT", _path(obj), {"fieldManager": MANAGER}, obj)

    async def delete(
        self, api_version: str, kind: str, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        """Gone already is fine. With `uid`, only that very object: ApiError 409 otherwise."""
        options: Raw = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self.request("DELETE", path_of(api_version, kind, namespace, name), body=options)
        except ApiError as error:
            if error.status != 404:
                raise

    async def event(self, regarding: Raw, *, type: Literal["Normal", "Warning"], reason: str, note: str) -> None:
        now = datetime.datetime.now(datetime.UTC).timestamp()
        await self.create(
            event_object(regarding, type=type, reason=reason, note=note, instance=self._instance, now=now)
        )

    async def has_api(self, group_version: str, kind: str) -> bool:
        """Whether the cluster has it now; what is there is remembered, what is missing is asked for again."""
        if kind not in self._known.get(group_version, ()):
            root = "/apis/" if "/" in group_version else "/api/"
            try:
                found = await self.request("GET", root + group_version)
            except ApiError as error:
                if error.status == 404:
                    return False
                raise
            self._known[group_version] = {item["kind"] for item in found["resources"]}
        return kind in self._known[group_version]

    async def version(self) -> Raw:
        """A plain GET, which works where the API does (OPERATOR.md rule 14)."""
        return await self.request("GET", "/version")

    async def connection(self) -> kopf.ConnectionInfo:
        """The same server, with the same rights, for kopf; asked for again when a token was refused."""
        held = self._client.configuration
        headers: dict[str, str] = {}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], "/", "GET", None)
        scheme, _, token = next(iter(headers.values()), "").partition(" ")
        return kopf.ConnectionInfo(
            server=held.host,
            ca_path=held.ssl_ca_cert,
            insecure=not held.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=token or None,
            certificate_path=held.cert_file,
            private_key_path=held.key_file,
        )

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Raw | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Raw:
        """One request. Raises ApiError."""
        if method != "GET":
            self.writes += 1
        answer = await self._send(method, path, query, body, content_type, accept)
        try:
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from None
        return _decode(answer.status, data)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Raw | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        deadlines: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> Any:
        """The answer's head; its body is to be read. Raises ApiError."""
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "mailpod-operator"}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method, url, headers=headers, body=body, _request_timeout=deadlines
            )
            API_REQUESTS.labels(method, answer.status).inc()
            return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            API_REQUESTS.labels(method, 0).inc()
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from None


def _path(obj: Raw) -> str:
    metadata = obj["metadata"]
    return path_of(obj["apiVersion"], obj["kind"], metadata.get("namespace"), metadata["name"])


def _decode(status: int, data: bytes) -> Raw:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if 200 <= status < 300:
        if not isinstance(answer, dict) or not answer:  # a body that was cut is no empty object
            raise ApiError(0, "NotJson", f"an answer of {len(data)} bytes is no JSON object")
        return answer
    fallback = data[:200].decode(errors="replace")
    told = answer if isinstance(answer, dict) else {}
    raise ApiError(status, str(told.get("reason", "")), str(told.get("message", fallback)))
