"""Small named changes of the code, put in and taken out again: what a mutation is, not which there are.

A mutation is a textual substitution in the source of one function, which must match exactly once: one that no longer
does is stale, and says so. The new code goes into the function object itself, so whoever imported it has it.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any


class Stale(Exception):
    """The code is no longer what the mutation says; mend the mutation."""


@dataclass(frozen=True)
class Mutation:
    """`rule`: those that it breaks, with commas. `edits`: (module:function, old text, new text). `seeds` caught it
    before, and are tried first.

    `test` is a unit test that catches it, where the simulation has no such layer or seldom comes there. `survives` says
    why nothing catches it: printed with every hunt, and no failure.
    """

    name: str
    rule: str
    edits: tuple[tuple[str, str, str], ...]
    seeds: tuple[int, ...] = ()
    test: str = ""
    survives: str = ""

    @property
    def rules(self) -> list[str]:
        return self.rule.split(", ")


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """The code, with this change in it. Raises Stale."""
    with ExitStack() as undo:
        for where in dict.fromkeys(where for where, _, _ in mutation.edits):
            function = _function(where)
            undo.callback(_restore, function, function.__code__)
            edits = [(old, new) for each, old, new in mutation.edits if each == where]
            function.__code__ = _changed(function, where, edits)
        yield


def _restore(function: FunctionType, code: CodeType) -> None:
    function.__code__ = code


def _function(where: str) -> FunctionType:
    module, _, path = where.partition(":")
    found: Any = importlib.import_module(module)
    try:
        for name in path.split("."):
            found = inspect.getattr_static(found, name)
    except AttributeError as error:
        raise Stale(f"{where} is not there") from error
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    if not isinstance(found, FunctionType):
        raise Stale(f"{where} is no function")
    return found


def _changed(function: FunctionType, where: str, edits: Sequence[tuple[str, str]]) -> CodeType:
    """All edits of a function at once: changed code has no source of its own to read again."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in edits:
        if source.count(old) != 1:
            raise Stale(f"{where}: {old!r} is there {source.count(old)} times")
        source = source.replace(old, new)
    flags = __future__.annotations.compiler_flag
    module = compile(source, where, "exec", flags, dont_inherit=True)
    return next(part for part in module.co_consts if isinstance(part, CodeType) and part.co_name == function.__name__)
