"""What every part of a custom resource is made of: names, bounds, and rules that hold in Python and in the API server.

- A rule is written once, as CEL for the API server and, beside it, as the Python that local mode asks. Both say the
  same message.
- Every string, list and map has a bound: CEL's cost is estimated from them, and so is the size of an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from mailpod.addresses import normalize, normalize_domain, normalize_local_part

API_VERSION: Final = "mailpod.dev/v1alpha1"

_Check = TypeVar("_Check", bound=Callable[[Any], bool])


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry of `x-kubernetes-validations`."""

    cel: str
    message: str
    field: str = ""
    """The field that an error names, as a path from the object that has the rule: `.replicas`."""

    def wire(self) -> dict[str, str]:
        rule = {"rule": self.cel, "message": self.message}
        return {**rule, "fieldPath": self.field} if self.field else rule


def rule(cel: str, message: str, field: str = "") -> Callable[[_Check], _Check]:
    """Decorates a method that answers in Python what `cel` answers in the API server."""

    def mark(check: _Check) -> _Check:
        check.__rule__ = Rule(cel, message, field)  # type: ignore[attr-defined]
        return check

    return mark


def fixed(field: str, why: str) -> Rule:
    """A field that stays as it was made: neither changed, nor unset, nor set later (OPERATOR.md rule 5)."""
    was, now = f"oldSelf.{field}", f"self.{field}"
    return Rule(f"has({now}) == has({was}) && (!has({now}) || {now} == {was})", f"{field} cannot be changed: {why}")


def _describe(schema: dict[str, Any], model: type[Model]) -> None:
    """Put into a model's JSON schema what Kubernetes knows beyond JSON schema."""
    if rules := list(model.rules()):
        schema["x-kubernetes-validations"] = [each.wire() for each in rules]
    if model.ATOMIC:
        schema["x-kubernetes-map-type"] = "atomic"


class Model(BaseModel):
    """Base of everything in a manifest."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_describe,  # of every model below this one
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()
    """Rules that only the API server can check: those that compare with the object as it was."""
    ATOMIC: ClassVar[bool] = False
    """Server-side apply replaces it as a whole."""

    @classmethod
    def rules(cls) -> Iterator[Rule]:
        """All rules of this model, without those of the models in it."""
        yield from cls.RULES
        yield from (check.__rule__ for check in cls._checks())

    @classmethod
    def _checks(cls) -> Iterator[Any]:
        for base in reversed(cls.__mro__):
            yield from (member for member in vars(base).values() if hasattr(member, "__rule__"))

    @model_validator(mode="after")
    def _rules_hold(self) -> Model:
        for check in self._checks():
            if not check(self):
                raise ValueError(check.__rule__.message)
        return self

    def wire(self) -> dict[str, Any]:
        """As it stands in a manifest: what was given, without defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


@dataclass(frozen=True, slots=True)
class Matching:
    """Text that matches a pattern, in Python and in the schema; `what` is what the author is told it should be."""

    pattern: str  # of Python's and Go's regular expressions alike, from ^ to $
    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}

    def _check(self, written: str) -> str:
        if not re.fullmatch(self.pattern, written):
            raise ValueError(f'"{written}" is not {self.what}')
        return written


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """More for the JSON schema of an annotated type."""

    more: dict[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), **self.more}


@dataclass(frozen=True, slots=True)
class Unique:
    """A list in which nothing stands twice: server-side apply merges it item by item."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "x-kubernetes-list-type": "set"}

    def _check(self, items: list[Any]) -> list[Any]:
        if twice := [item for number, item in enumerate(items) if item in items[:number]]:
            raise ValueError(f'"{twice[0]}" stands twice')
        return items


ATOMIC_LIST: Final = Schema({"x-kubernetes-list-type": "atomic"})


def by_key(*keys: str) -> Schema:
    """A list of objects that these fields tell apart."""
    return Schema({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


def _alias_local_part(written: str) -> str:
    if "@" in written and not written.startswith('"'):
        raise ValueError(f'"{written}" has an @: write only what is before it, aliases are in the Mailbox\'s domain')
    return normalize_local_part(written)


# A little wider than what normalize_domain and normalize_local_part take: the API server's first look
_ALNUM: Final = r"[^\x00-/:-@\[-`{-\x7f]"
_LABEL: Final = rf"{_ALNUM}([^\x00-,./:-@\[-`{{-\x7f]{{0,61}}{_ALNUM})?"
_ATOM: Final = r'[^\x00- "(),.:;<>@\[\\\]\x7f]+'
_LOCAL_PART = Schema({"pattern": rf'^({_ATOM}(\.{_ATOM})*|"([^\x00-\x1f"\\\x7f]|\\[ -~])*")$', "minLength": 1})

ObjectName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
DomainName: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=253),
    AfterValidator(normalize_domain),
    Schema({"pattern": rf"^{_LABEL}(\.{_LABEL})*$", "minLength": 1}),
]
LocalPart: TypeAlias = Annotated[
    str, StringConstraints(max_length=128), AfterValidator(normalize_local_part), _LOCAL_PART
]
AliasLocalPart: TypeAlias = Annotated[
    str, StringConstraints(max_length=128), AfterValidator(_alias_local_part), _LOCAL_PART
]
MailAddress: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(lambda written: str(normalize(written))),
    Schema({"pattern": r"^[^\x00-\x1f\x7f]+@[^\x00- @\x7f]+$"}),
]
Protocol: TypeAlias = Literal["Submission", "IMAP", "POP3"]
Protocols: TypeAlias = Annotated[list[Protocol], Field(max_length=3), Unique()]
Toggle: TypeAlias = Literal["Enabled", "Disabled"]
AnnotationMap: TypeAlias = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=32)
]
LabelValue: TypeAlias = Annotated[
    str, StringConstraints(max_length=63), Matching(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", "a label's value")
]
LabelMap: TypeAlias = Annotated[dict[str, LabelValue], Field(max_length=32)]
LabelKey: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=317),
    Matching(r"^([-a-z0-9.]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", "a label's key"),
]


class ObjectMeta(Model):
    """What Mailpod reads of an object's metadata; the API server's other fields are left alone."""

    model_config = ConfigDict(extra="ignore")

    name: ObjectName
    namespace: ObjectName = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    uid: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] = []


class Object(Model):
    """Any object of a manifest."""

    kind: str
    metadata: ObjectMeta

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    @property
    def title(self) -> str:
        """How errors and logs name it: `Mailbox default/alice`."""
        return f"{self.kind} {'/'.join(self.key)}"


class ObjectRef(Model):
    """Another object of this namespace."""

    ATOMIC = True

    name: ObjectName
    """Its name."""
