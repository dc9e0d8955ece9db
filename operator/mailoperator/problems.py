"""What is wrong with a manifest, said so that its author can mend it: field, fault, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from mailoperator.model import Model, Secret


def complaint(model: type[Model], detail: ErrorDetails) -> str:
    """One of pydantic's errors as `spec.quota.storage: "5XB" is not a quantity (try 5Gi)`. Quotes no Secret."""
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in detail["loc"]).lstrip(".")
    return f"{where}: {_what(model, detail)}" if where else _what(model, detail)


def _what(model: type[Model], detail: ErrorDetails) -> str:
    given, context = detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return f"is not a field{suggestion(str(detail['loc'][-1]), _siblings(model, detail['loc']))}"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f'"{given}" is not one of {context["expected"]}'.replace("'", "")
        case "string_type" if isinstance(given, int | float) and model is not Secret:
            return f'must be a string, and {given} is not one (write "{given}")'
        case "string_type":
            return "must be a string (put it in quotes)"
        case "string_pattern_mismatch":
            return f'"{given}" is not a name: lower-case letters, digits, - and . (RFC 1123)'
        case "model_type" | "dict_type":
            return "must be a mapping of fields"
        case _:
            return detail["msg"].replace("Input should be", "must be", 1)


def _siblings(model: type[Model], where: tuple[int | str, ...]) -> list[str]:
    """The fields beside an unknown one."""
    current: Any = model
    for step in where[:-1]:
        found = next((info.annotation for info in _fields(current).values() if info.alias == step), None)
        current = next((kind for kind in (found, *getattr(found, "__args__", ())) if _fields(kind)), None)
    return [info.alias or name for name, info in _fields(current).items()]


def _fields(kind: Any) -> dict[str, Any]:
    return dict(getattr(kind, "model_fields", {}))


def suggestion(written: str, known: Sequence[str]) -> str:
    """` (did you mean …?)`, or the whole choice where nothing is near."""
    if close := difflib.get_close_matches(written, known, n=1):
        return f" (did you mean {close[0]}?)"
    return f" (there are {', '.join(known)})" if known else ""


def line_at(node: yaml.Node, where: Sequence[int | str] = ()) -> int:
    """The line, counted from 1, of a field below `node`, or of the nearest thing above it that is written."""
    line = node.start_mark.line
    for step in where:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == step), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1


def repeated_keys(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Keys that stand twice in one mapping, of which YAML would take the last without a word."""
    waiting, visited = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in visited or not isinstance(node, yaml.CollectionNode):
            continue
        visited.add(id(node))  # anchors make a graph of it
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        seen = set()
        for key, value in node.value:
            waiting.append(value)
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
