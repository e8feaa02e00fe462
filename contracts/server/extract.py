"""Extract facts (a task's id, its status) from answers; the spec's templates say where they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from typing import Any

from contracts.server.spec import Spec
from mockserver.spec.pointer import pointed

Pointer = tuple[str, ...]
_CHOICE = ({"by", "values"}, {"by", "values", "otherwise"})
_INSIDE = re.compile(r"\{\$[^{}]+\}")


class Extractor:
    """Pointers into JSON, by the expression whose value is there."""

    def __init__(self, spec: Spec, templates: Iterable[Any]) -> None:
        self._pointers: dict[str, dict[Pointer, None]] = defaultdict(dict)
        #: Status names that the template translates, back to the lifecycle's.
        self.renamed: dict[str, str] = {}
        for template in templates:
            for fact, pointer in self._walk(spec, template, ()):
                self._pointers[fact][pointer] = None

    def __contains__(self, fact: str) -> bool:
        return fact in self._pointers

    def facts(self) -> list[str]:
        """Return every expression that has a pointer."""
        return list(self._pointers)

    def read(self, fact: str, answer: Any) -> Any:
        """Return a fact's value in an answer; None if it is missing."""
        for pointer in self._pointers.get(fact, ()):
            value = pointed(answer, pointer)
            if value is not None:
                return value
        return None

    def of(self, fact: str) -> list[Pointer]:
        """Return the pointers of a fact."""
        return list(self._pointers.get(fact, ()))

    def all(self, fact: str, answer: Any) -> list[Any]:
        """Return the value at each pointer of a fact."""
        return [value for pointer in self._pointers.get(fact, ()) if (value := pointed(answer, pointer)) is not None]

    def _walk(self, spec: Spec, template: Any, pointer: Pointer) -> Iterator[tuple[str, Pointer]]:
        if isinstance(template, str):
            if template.startswith("$reply."):
                name, _, rest = template.removeprefix("$reply.").partition("#/")
                for each in spec.reply(name):
                    yield from self._walk(spec, pointed(each, tuple(rest.split("/")) if rest else ()), pointer)
            elif template.startswith("$"):
                yield template, pointer
        elif isinstance(template, dict) and set(template) in _CHOICE:
            if template.get("otherwise") == template["by"]:
                self.renamed |= {str(new): old for old, new in template["values"].items()}
                yield template["by"], pointer
            else:  # by a state, a model or another fact: each choice may hold facts
                for each in (*template["values"].values(), template.get("otherwise")):
                    yield from self._walk(spec, each, pointer)
        elif isinstance(template, dict):
            for key, each in template.items():
                yield from self._walk(spec, each, (*pointer, key.removesuffix("?")))
        elif isinstance(template, list):
            for index, each in enumerate(template):
                yield from self._walk(spec, each, (*pointer, str(index)))


def mismatch(template: Any, answer: Any, where: str = "the body", optional: Container[str] = ()) -> str | None:
    """Say where JSON does not match a template; None if it matches. `optional` fields, with dots, may be missing."""
    if isinstance(template, str):
        if template.startswith("$"):
            return None
        if _INSIDE.search(template):
            return None if isinstance(answer, str) else f"{where} is not a string"
    if isinstance(template, dict):
        if set(template) in _CHOICE:
            return None
        if not isinstance(answer, dict):
            return f"{where} is not an object"
        for key, each in template.items():
            name = key.removesuffix("?")
            inner = name if where == "the body" else f"{where}.{name}"
            if name in answer:
                found = mismatch(each, answer[name], inner, optional)
                if found is not None:
                    return found
            elif not key.endswith("?") and inner not in optional:
                return f"{where} has no {name!r}"
        return None
    if isinstance(template, list):
        return None if isinstance(answer, list) else f"{where} is not a list"
    return None if answer == template else f"{where} is not {template!r}"
