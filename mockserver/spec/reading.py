"""What templates read, and whether that is there where the template is rendered.

`$task.id` has a value in the answer to a query and none in an error; `$request.path.NAME` needs a path with that
parameter; `$request.body#/…` needs a field of a request schema. A `Scope` says what one place has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from mockserver.provider import Schema
from mockserver.spec.document import Path_
from mockserver.spec.expressions import INSIDE, ROOTS
from mockserver.spec.pointer import keys_of
from mockserver.spec.words import suggestion

_CHOICE = {"by", "values"}
_PARTS = ("body", "query", "path", "header", "method")
#: A text that can only be meant as an expression.
EXPRESSION = re.compile(r"\$[a-z]+[.#]|\$(?:request_id|input)\b|\{\$")


class Read(NamedTuple):
    """One expression of a template: `$root.name#/keys`, and its place in the template."""

    path: Path_
    text: str
    root: str
    name: str
    keys: tuple[str, ...]


def reads_of(template: Any, path: Path_ = ()) -> Iterator[Read]:
    """Yield the expressions of a template."""
    if isinstance(template, dict):
        for key, each in template.items():
            yield from reads_of(each, (*path, key))
    elif isinstance(template, list):
        for index, each in enumerate(template):
            yield from reads_of(each, (*path, index))
    elif isinstance(template, str):
        for text in [template] if template.startswith("$") else INSIDE.findall(template):
            head, _, pointer = text.partition("#")
            root, _, name = head[1:].partition(".")
            yield Read(path, text, root, name, keys_of(pointer) if pointer else ())


@dataclass(frozen=True)
class Scope:
    """What the templates of one place may read."""

    #: What is rendered there, in words.
    what: str
    roots: frozenset[str]
    #: The parts of the request: body, query, path, header, method.
    request: frozenset[str]
    #: The parameters of the operation, by place; None where no operation is known.
    parameters: Mapping[str, Sequence[str]] | None = None
    #: The schemas of the submit bodies that may be meant.
    schemas: Sequence[Schema] = ()
    #: The names of `$task` that may not be read here, because they are worked out from this place.
    not_yet: frozenset[str] = frozenset()
    #: The bodies of queries, by operation id.
    replies: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    #: The operations whose addresses can be written, with the parameters of their paths that the request must have.
    urls: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def problems(self, template: Any) -> Iterator[tuple[Path_, str, str]]:
        """Yield what a template reads that is not there: place, what is wrong, and the fix."""
        for read in reads_of(template):
            why = self._problem(read, ())
            if why is not None:
                yield (read.path, f"{read.text}: {why[0]}", why[1])

    def _problem(self, read: Read, through: tuple[str, ...]) -> tuple[str, str] | None:
        if read.root == "request":
            return self._request_problem(read)
        if read.root not in ROOTS:
            return None  # told where templates are compiled
        if read.root not in self.roots:
            known = sorted({f"${root}" for root in self.roots} | {f"$request.{part}" for part in self.request})
            return f"{self.what} has no ${read.root}", f"it has {', '.join(known)}"
        if read.root == "reply":
            return self._reply_problem(read, through)
        if read.root == "url":
            return self._url_problem(read)
        if read.root == "task" and read.name in self.not_yet:
            return "is worked out from this value itself", "use another name of $task"
        if read.keys and (read.root == "input" or (read.root, read.name) == ("task", "request")):
            return self._field_problem(read.keys)
        return None

    def _request_problem(self, read: Read) -> tuple[str, str] | None:
        part, _, name = read.name.partition(".")
        if part not in _PARTS:
            return None  # told where templates are compiled
        if part not in self.request:
            known = ", ".join(f"$request.{each}" for each in sorted(self.request))
            fix = "use $input or $task.request for the submit body" if part == "body" else f"it has {known or 'none'}"
            return f"{self.what} has no $request.{part}", fix
        if part == "body" and read.keys:
            return self._field_problem(read.keys)
        if name and part in ("path", "query") and self.parameters is not None and name not in self.parameters[part]:
            return f"the operation has no {part} parameter {name!r}", suggestion(name, self.parameters[part])
        return None

    def _field_problem(self, keys: tuple[str, ...]) -> tuple[str, str] | None:
        """Report a pointer that leads to no field of any schema."""
        missing = [schema.missing_field(keys) for schema in self.schemas]
        if not missing or None in missing:
            return None
        name, known = max((each for each in missing if each is not None), key=lambda each: len(each[1]))
        return f"no request schema has the field {name!r}", suggestion(name, known)

    def _url_problem(self, read: Read) -> tuple[str, str] | None:
        if read.name not in self.urls:
            return f"{read.name!r} is not the id of an operation", suggestion(read.name, self.urls)
        there = () if self.parameters is None else self.parameters["path"]
        missing = [name for name in self.urls[read.name] if name not in there]
        if missing:
            what = f"it is not known here what {{{missing[0]}}} in the path of {read.name} stands for"
            return what, "name an operation whose path has the task alone"
        return None

    def _reply_problem(self, read: Read, through: tuple[str, ...]) -> tuple[str, str] | None:
        if read.name not in self.replies:
            return f"{read.name!r} is not an operation of role `query`", suggestion(read.name, self.replies)
        if read.name in through:
            return "refers to itself", "write out what it should say"
        templates = [pointed_template(body, read.keys) for body in self.replies[read.name]]
        if all(each is NO_SUCH_PART for each in templates):
            known = [
                key.removesuffix("?") for body in self.replies[read.name] if isinstance(body, dict) for key in body
            ]
            return f"the answer of {read.name} has no {'/'.join(read.keys)}", suggestion(read.keys[0], known)
        inner = replace(self, what=f"{self.what}, which shows the answer of {read.name},")
        for template in templates:
            for each in () if template is NO_SUCH_PART else reads_of(template):
                why = inner._problem(each, (*through, read.name))  # noqa: SLF001 - another Scope
                if why is not None:
                    return f"{each.text} in it: {why[0]}" if each.root != "reply" else why[0], why[1]
        return None


#: Returned by `pointed_template` where a pointer leads to nothing.
NO_SUCH_PART: Any = object()


def pointed_template(template: Any, keys: tuple[str, ...]) -> Any:
    """Follow keys into a template, as far as it is written out."""
    for key in keys:
        if isinstance(template, dict) and set(template) >= _CHOICE:
            return template
        if isinstance(template, dict):
            template = template.get(key, template.get(f"{key}?", NO_SUCH_PART))
        elif isinstance(template, list) and key.isdecimal() and int(key) < len(template):
            template = template[int(key)]
        elif isinstance(template, str) and template.startswith("$"):
            return template
        else:
            return NO_SUCH_PART
        if template is NO_SUCH_PART:
            return NO_SUCH_PART
    return template


def meant_expressions(
    data: Any, path: Path_, is_template: Callable[[Path_], bool], skips: frozenset[str]
) -> Iterator[tuple[Path_, str]]:
    """Yield the texts that look like expressions where none is read."""
    if is_template(path):
        return
    if isinstance(data, dict):
        for key, each in data.items():
            if key not in skips:
                yield from meant_expressions(each, (*path, key), is_template, skips)
    elif isinstance(data, list):
        for index, each in enumerate(data):
            yield from meant_expressions(each, (*path, index), is_template, skips)
    elif isinstance(data, str) and EXPRESSION.search(data):
        yield path, data
