"""Manifests from files, as `kubectl apply -f` reads them: files, or the YAML and JSON files right in a folder.

Nothing is half right: `load` gives every object, or raises every problem it found, each with file, line, object, field
and what to do about it. No problem quotes a Secret's value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml
from pydantic import ValidationError

from mailoperator.model import API_VERSION, Mailbox, MailDomain, Object, Secret
from mailoperator.problems import complaint, line_at, repeated_keys, suggestion

KINDS: Final[dict[tuple[str, str], type[MailDomain | Mailbox | Secret]]] = {
    (API_VERSION, "MailDomain"): MailDomain,
    (API_VERSION, "Mailbox"): Mailbox,
    ("v1", "Secret"): Secret,
}
# libyaml's, ten times as fast, where PyYAML was built with it
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SUFFIXES: Final = (".yaml", ".yml", ".json")
Key: TypeAlias = tuple[str, str]  # namespace, name


class ManifestError(ValueError):
    """Manifests that cannot be used; `problems` are lines for people."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass(slots=True)
class Manifests:
    """All objects, in the order of their files."""

    domains: dict[Key, MailDomain] = field(default_factory=dict)
    mailboxes: dict[Key, Mailbox] = field(default_factory=dict)
    secrets: dict[Key, Secret] = field(default_factory=dict)
    places: dict[tuple[str, Key], str] = field(default_factory=dict)  # kind, key -> `file:line`
    ignored: list[str] = field(default_factory=list)  # objects of other APIs

    def kept(self, kind: type[Object]) -> dict[Key, Any]:
        """Where the objects of a kind are kept."""
        kinds: dict[type[Object], dict[Key, Any]] = {
            MailDomain: self.domains,
            Mailbox: self.mailboxes,
            Secret: self.secrets,
        }
        return kinds[kind]

    def place(self, thing: Object) -> str:
        return f"{self.places[thing.kind, thing.key]}: {thing.title}"


def load(paths: Sequence[Path]) -> Manifests:
    """The objects in the manifests. Raises ManifestError."""
    found, problems = Manifests(), list[str]()
    for path in paths:
        try:
            for file in files(path):
                problems += _load_file(file, found)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    if problems:
        raise ManifestError(problems)
    return found


def files(path: Path) -> list[Path]:
    """The files that a manifest argument stands for. Raises OSError."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and not file.name.startswith("."))


def _load_file(file: Path, found: Manifests) -> list[str]:
    """Add the objects of one file; what is wrong with it."""
    try:
        documents = list(yaml.compose_all(file.read_text(encoding="utf-8"), _LOADER))
    except UnicodeDecodeError:
        return [f"{file}: is not UTF-8 text"]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return [f"{file}:{mark.line + 1 if mark else 1}: is not YAML: {error.problem}"]
    except yaml.YAMLError as error:
        return [f"{file}: is not YAML: {error}"]
    problems = list[str]()
    for node in documents:
        if isinstance(node, yaml.MappingNode):
            problems += _load_object(file, node, found)
        elif node is not None and node.tag != "tag:yaml.org,2002:null":  # an empty document between two ---
            problems.append(f"{file}:{line_at(node)}: is not an object with apiVersion and kind")
    return problems


def _load_object(file: Path, node: yaml.MappingNode, found: Manifests) -> Iterator[str]:
    if (twice := next(repeated_keys(node), None)) is not None:
        yield f"{file}:{line_at(twice)}: {twice.value} stands twice in one mapping"
        return
    try:
        raw = yaml.SafeLoader("").construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        yield f"{file}:{line_at(node)}: is not YAML: {getattr(error, 'problem', error)}"
        return
    title = _title(raw)
    model = KINDS.get((str(raw.get("apiVersion")), str(raw.get("kind"))))
    if model is None:
        if problem := _unknown(raw):
            yield f"{file}:{line_at(node)}: {title}: {problem}"
        else:
            found.ignored.append(f"{file}:{line_at(node)}: {title}")
        return
    try:
        thing = model.model_validate(raw)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            line = line_at(node, detail["loc"])
            yield f"{file}:{line}: {title}: {complaint(model, detail)}"
        return
    kept = found.kept(model)
    if thing.key in kept:
        yield f"{file}:{line_at(node)}: {title}: stands in {found.places[thing.kind, thing.key]} already"
        return
    kept[thing.key] = thing
    found.places[thing.kind, thing.key] = f"{file}:{line_at(node)}"


def _unknown(raw: dict[str, Any]) -> str | None:
    """What is wrong with an object that is none of KINDS; None if it is another API's, and no business of ours."""
    version, kind = raw.get("apiVersion"), raw.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return "apiVersion and kind are required"
    for known_version, known_kind in KINDS:
        if kind == known_kind:
            return f'apiVersion: "{version}" is not known (use {known_version})'
    if version.partition("/")[0] == API_VERSION.partition("/")[0]:
        return f'kind: "{kind}" is not known{suggestion(kind, [kind for _, kind in KINDS])}'
    return None


def _title(raw: dict[str, Any]) -> str:
    metadata = raw.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    return f"{raw.get('kind', 'object')} {named.get('namespace', 'default')}/{named.get('name', '?')}"
