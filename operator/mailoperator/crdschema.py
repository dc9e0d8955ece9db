"""A model as Kubernetes' structural schema: pydantic's JSON schema without references, nulls and unions.

What has no equal there is an error here, not silently left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mailoperator.model_base import Model

_SAME: Final = (
    "type", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties", "required",
)  # fmt: skip
_OBVIOUS: Final = ("title", "$defs", "default", "description", "properties", "additionalProperties", "items", "anyOf")
_NULL: Final = {"type": "null"}


def structural(model: type[Model], *, defaults: bool = True) -> dict[str, Any]:
    """The schema of a model's manifests. Raises ValueError for what cannot be said in one.

    A status has no `defaults`: what the operator reads back is what it wrote.
    """
    schema = model.model_json_schema(by_alias=True)
    return _Reader(schema.get("$defs", {}), defaults).node(schema, model.__name__)


@dataclass(frozen=True, slots=True)
class _Reader:
    definitions: dict[str, Any]
    defaults: bool

    def node(self, node: dict[str, Any], where: str) -> dict[str, Any]:
        node = self._without_null(self._resolved(node))
        made: dict[str, Any] = {}
        if description := node.get("description"):
            made["description"] = " ".join(description.split())
        for key in node:
            if key in _SAME or key.startswith("x-kubernetes-"):
                made[key] = node[key]
            elif key == "const":  # a Literal with one member
                made["enum"] = [node[key]]
            elif key == "exclusiveMinimum":  # of an integer
                made["minimum"] = node[key] + 1
            elif key not in _OBVIOUS:
                raise ValueError(f"{where}: {key} has no place in a structural schema")
        if self.defaults and _is_plain(node.get("default")):
            made["default"] = node["default"]
        return made | self._parts(node, where)

    def _parts(self, node: dict[str, Any], where: str) -> dict[str, Any]:
        """What the node consists of."""
        made: dict[str, Any] = {}
        if "x-kubernetes-int-or-string" in node:
            made["anyOf"] = node["anyOf"]  # the one union that Kubernetes has
        elif "anyOf" in node:
            raise ValueError(f"{where}: a union has no place in a structural schema")
        if "properties" in node:
            made["properties"] = {name: self.node(part, f"{where}.{name}") for name, part in node["properties"].items()}
        elif isinstance(node.get("additionalProperties"), dict):
            made["additionalProperties"] = self.node(node["additionalProperties"], f"{where}.*")
        if "items" in node:
            made["items"] = self.node(node["items"], f"{where}[]")
        return made

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        """A reference replaced by what it names; what stands beside it wins."""
        if "$ref" not in node:
            return node
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return {**self.definitions[node["$ref"].rpartition("/")[2]], **beside}

    def _without_null(self, node: dict[str, Any]) -> dict[str, Any]:
        """`X | None` as X: a field that is not required is left out rather than null."""
        branches = node.get("anyOf", [])
        if _NULL not in branches:
            return node
        (only,) = [branch for branch in branches if branch != _NULL]
        beside = {key: value for key, value in node.items() if key != "anyOf"}
        return {**self._resolved(only), **beside}


def _is_plain(default: Any) -> bool:
    """Whether the API server should fill it in: numbers, texts and lists that say something, and no objects."""
    return default is not None and default is not False and default != [] and not isinstance(default, dict)
