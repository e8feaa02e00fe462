"""Runtime expressions and templates, compiled once into plain functions of a `Scope`.

    $request.body#/model      the request, as OpenAPI has it (body, query, path, header, method)
    $input#/duration          the submit body with the schema's defaults filled in
    $task.status              a fact; engine/scope.py has the tables
    $reply.getTask#/data      what the query would answer for the task in scope
    "id {$task.id}"           inside a longer string, put in as text

A template is JSON with expressions in it; `{by, values, otherwise}` is a choice, and a key that ends
in `?` is left out when its value is null.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mockserver.engine.routes import well_formed
from mockserver.engine.scope import FACTS, Scope, inputs_of, pointed

if TYPE_CHECKING:
    from collections.abc import Callable

    from mockserver.engine.scope import Call
    from mockserver.provider import Value

_INSIDE = re.compile(r"\{(\$[^{}]+)\}")
_CHOICE = ({"by", "values"}, {"by", "values", "otherwise"})


class ExpressionError(ValueError):
    """An expression that means nothing; `path` are the keys that lead to it in its template."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


def constant(value: Any) -> Value:
    """Make the template that always gives this value."""
    return lambda _scope: value


def compile_value(template: Any) -> Value:
    """Compile a template.

    Raises:
        ExpressionError: an expression in it has no meaning; its `path` says where.
    """
    compiled = _compile(template)
    return compiled if callable(compiled) else constant(template)


def _compile(template: Any) -> Callable[[Scope], Any] | None:
    """Return None for a template without expressions."""
    if isinstance(template, str):
        return _text(template)
    if isinstance(template, dict):
        if set(template) in _CHOICE:
            return _choice(template)
        return _object(template)
    if isinstance(template, list):
        return _array(template)
    return None


def _array(template: list[Any]) -> Callable[[Scope], Any] | None:
    parts = [_at(each, index) for index, each in enumerate(template)]
    if not any(parts):
        return None
    values = [part or constant(each) for part, each in zip(parts, template, strict=True)]
    return lambda scope: [value(scope) for value in values]


def _object(template: dict[str, Any]) -> Callable[[Scope], Any] | None:
    fixed: dict[str, Any] = {}
    moving: list[tuple[str, Value]] = []
    optional: list[tuple[str, Value]] = []
    for key, each in template.items():
        part = _at(each, key)
        if key.endswith("?"):
            optional.append((key[:-1], part or constant(each)))
            fixed[key[:-1]] = None
        elif part is None:
            fixed[key] = each
        else:
            moving.append((key, part))
            fixed[key] = None
    if not moving and not optional:
        return None

    def make(scope: Scope) -> dict[str, Any]:
        out = fixed.copy()
        for key, value in moving:
            out[key] = value(scope)
        for key, value in optional:
            found = value(scope)
            if found is None:
                del out[key]
            else:
                out[key] = found
        return out

    return make


def _at(template: Any, *path: str | int) -> Callable[[Scope], Any] | None:
    """Compile a part of a template, which stands at this path of keys."""
    try:
        return _compile(template)
    except ExpressionError as error:
        raise ExpressionError(str(error), (*path, *error.path)) from None


def _choice(template: dict[str, Any]) -> Callable[[Scope], Any]:
    by, cases, rest = _at(template["by"], "by"), template["values"], template.get("otherwise")
    if by is None:
        raise ExpressionError("a choice is made by an expression, which starts with $", ("by",))
    if not isinstance(cases, dict):
        raise ExpressionError("a choice looks its values up in a mapping", ("values",))
    values = {key: _at(each, "values", key) or constant(each) for key, each in cases.items()}
    otherwise = _at(rest, "otherwise") or constant(rest)

    def choose(scope: Scope) -> Any:
        found = by(scope)
        key = found if isinstance(found, str) else _spelled(found)
        return values.get(key, otherwise)(scope)

    return choose


def _spelled(value: Any) -> str:
    """Write a value as it stands as a key of `values`: 10 as '10', null as 'null'."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _text(text: str) -> Callable[[Scope], Any] | None:
    if text.startswith("$"):
        return _expression(text)
    pieces = _INSIDE.split(text)
    if len(pieces) == 1:
        return None
    fixed = pieces[0::2]
    moving = [_expression(piece) for piece in pieces[1::2]]

    def write(scope: Scope) -> str:
        out = [fixed[0]]
        for value, rest in zip(moving, fixed[1:], strict=True):
            found = value(scope)
            out.append("" if found is None else _spelled(found))
            out.append(rest)
        return "".join(out)

    return write


def _expression(text: str) -> Value:
    head, _, pointer = text.partition("#")
    words = head[1:].split(".")
    value = _root(text, words)
    if not pointer:
        return value
    if not pointer.startswith("/"):
        raise ExpressionError(f"{text}: what follows # is a JSON pointer and starts with /")
    keys = tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer[1:].split("/"))
    if len(keys) == 1 and words in (["input"], ["request", "body"]):
        return _top_level(words[0] == "input", keys[0])
    return lambda scope: pointed(value(scope), keys)


def _top_level(from_inputs: bool, key: str) -> Value:
    """The commonest expressions, without the walk along a pointer."""
    if from_inputs:
        return lambda scope: inputs.get(key) if isinstance(inputs := inputs_of(scope), dict) else None
    return lambda scope: scope.body.get(key) if isinstance(scope.body, dict) else None


def _root(text: str, words: list[str]) -> Value:
    root = words[0]
    if root == "request" and len(words) > 1:
        return _request(text, words)
    if words == ["input"]:
        return inputs_of
    if words == ["request_id"]:
        return lambda scope: scope.request_id
    if root == "reply" and len(words) == 2:
        operation_id = words[1]
        return lambda scope: scope.space.reply_of(operation_id, scope)
    facts = FACTS.get(root)
    if facts is None:
        roots = ", ".join(f"${each}" for each in ["request", "input", "reply", "request_id", *FACTS])
        raise ExpressionError(f"{text}: ${root} is not known; there are {roots}")
    fact = facts.get(".".join(words[1:]))
    if fact is None:
        known = ", ".join(sorted(facts))
        raise ExpressionError(f"{text}: ${root} has no {'.'.join(words[1:])!r}; it has {known}")
    return fact


def _header(call: Call, name: str) -> str | None:
    text = call.headers.get(name)
    return None if text is None else well_formed(text)


def _request(text: str, words: list[str]) -> Value:
    place, name = words[1], ".".join(words[2:])
    if place == "body" and not name:
        return lambda scope: scope.body
    if place == "method" and not name:
        return lambda scope: "" if scope.call is None else scope.call.method
    if place == "path" and not name:
        return lambda scope: "" if scope.call is None else scope.call.path
    if place == "query" and name:
        return lambda scope: None if scope.call is None else scope.call.query.get(name)
    if place == "path":
        return lambda scope: scope.path_values.get(name)
    if place == "header" and name:
        return lambda scope: None if scope.call is None else _header(scope.call, name)
    raise ExpressionError(f"{text}: of the request there are body, method, path, query.NAME, path.NAME and header.NAME")
