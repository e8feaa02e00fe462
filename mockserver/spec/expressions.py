"""Runtime expressions and templates, compiled once into plain functions of a request context.

    $request.body#/model      the request, as in OpenAPI (body, query, path, header, method)
    $input#/duration          the submit body with the defaults of its schema
    $task.status              a name of the vocabulary below
    $reply.getTask#/data      what the query would return for the task
    $url.getTask              the address of an operation, for the task, as the client reaches it
    $draw.duration_s          what the provider chooses for the task, determined by the seed
    "id {$task.id}"           inside a longer string, inserted as text

A template is JSON that contains expressions; `{by, values, otherwise}` is a choice, and a key that ends in `?` is
left out when its value is null. A compiled template reads `$task.id` as the attribute `task.id` of the context.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from mockserver.clock import iso_of
from mockserver.provider import Value
from mockserver.spec.pointer import keys_of, pointed
from mockserver.spec.words import suggestion

#: An expression inside a longer text.
INSIDE = re.compile(r"\{(\$[^{}]+)\}")


def _properties(root: str, *names: str) -> dict[str, str]:
    return {name: f"{root}_{name}" for name in names}


#: The names of each root, and the attribute path of the context that each one reads.
NAMES: dict[str, dict[str, str]] = {
    "task": {
        "id": "task.id",
        "model": "task.model.name",
        "kind": "task.model.kind",
        "status": "shown.status",
        "progress": "shown.progress",
        "request": "task.body",
        "estimated_s": "task.model.estimated_s",
        "account_id": "task.account.id",
        **_properties("task", "elapsed_s", "output_duration_s", "reserved_credits", "charged_credits", "reason_code"),
        **_properties("task", "reason_message", "result_urls", "result_url", "result_base64", "media"),
        **_properties("task", "progress_fraction", "queue_position", "logs", "log_text"),
    },
    "parent": _properties("parent", "id", "model", "kind", "request"),
    "account": _properties(
        *("account", "id", "plan", "available_credits", "used_credits", "reserved_credits", "granted_credits")
    ),
    "quote": {"credits": "quote_credits"},
    "error": {
        **{name: f"error.{name}" for name in ("status", "code", "type", "name")},
        "message": "error_message",
    },
    "problem": _properties("problem", "message", "field", "all", "retry_after_s"),
    "file": {
        **{name: f"file.{name}" for name in ("id", "name", "media_type")},
        **_properties("file", "size_bytes", "url"),
    },
    "list": {
        **_properties("list", "items", "total", "next", "has_more", "first_id", "last_id", "limit", "offset"),
        **_properties("list", "page", "pages"),
    },
    "log": {"message": "log.message", "level": "log.level"},
    "callback": {"id": "callback.id", "event": "callback.event", "url": "callback_url"},
    "signing_key": {name: f"signing_key.{name}" for name in ("id", "jwk", "x", "base64", "hex", "pem")},
    "now": {},
    "server": {"url": "server_url"},
}
#: The instants of a root; each has three notations: unix_ms, unix_s and iso.
INSTANTS: dict[str, dict[str, str]] = {
    "task": {
        "submitted_": "task.submitted_ms",
        "started_": "task_started_ms",
        "ended_": "task_ended_ms",
        "expires_": "task_expires_ms",
    },
    "log": {"at_": "log.at_ms"},
    "now": {"": "now_ms"},
}
_NOTATIONS = {
    "unix_ms": "(s.{})",
    "unix_s": "(None if (at_ms := s.{}) is None else at_ms // 1000)",
    "iso": "iso_text(s.{})",
}
#: What an expression may start with.
ROOTS = ("request", "input", "reply", "url", "draw", "request_id", *NAMES)
#: What was meant as an expression, and would be sent as it stands.
_MEANT = re.compile(rf"\{{\$|\{{(?:{'|'.join(ROOTS)})[.#][^{{}}]*\}}")
_CHOICE = ({"by", "values"}, {"by", "values", "otherwise"})


def names_of(root: str) -> dict[str, str]:
    """Return every name of a root, with the Python source that reads it from the context `s`."""
    names = {name: f"s.{path}" for name, path in NAMES[root].items()}
    for instant, path in INSTANTS.get(root, {}).items():
        names |= {f"{instant}{notation}": form.format(path) for notation, form in _NOTATIONS.items()}
    return names


class ExpressionError(ValueError):
    """An invalid expression; `path` is its place in the template, and `fix` says what to write."""

    def __init__(self, message: str, path: tuple[str | int, ...] = (), fix: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.fix = fix


def constant(value: Any) -> Value:
    """Return a function that always returns this value."""
    return lambda _context: value


def compile_value(template: Any, draws: Collection[str] = ()) -> Value:
    """Compile a template.

    Args:
        template: the template.
        draws: the names that `$draw` knows.

    Raises:
        ExpressionError: an expression in it is invalid; its `path` says where.
    """
    writer = _Writer(draws)
    source = writer.template(template)
    return constant(template) if source is None else writer.function(source)


class _Writer:
    """Writes the Python source of one template; each value is bound to a name."""

    def __init__(self, draws: Collection[str]) -> None:
        self._draws = draws
        self._names: dict[str, Any] = {
            "pointed": pointed,
            "iso_text": _iso_text,
            "spelled": _spelled,
            "without_nulls": _without_nulls,
        }

    def function(self, source: str) -> Value:
        """Compile the source. Values from the spec are bound to names and never become part of the source text."""
        made: Value = eval(compile(f"lambda s: {source}", "<template>", "eval"), self._names)  # noqa: S307
        return made

    def bound(self, value: Any) -> str:
        """Return a name for a value."""
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name

    def template(self, template: Any) -> str | None:
        """Write a template; None if it contains no expression."""
        if isinstance(template, str):
            return self._text(template)
        if isinstance(template, dict):
            if set(template) in _CHOICE:
                return self._choice(template)
            return self._object(template)
        if isinstance(template, list):
            return self._array(template)
        return None

    def _at(self, template: Any, *path: str | int) -> str | None:
        """Write the part of a template at this path of keys."""
        try:
            return self.template(template)
        except ExpressionError as error:
            raise ExpressionError(str(error), (*path, *error.path), error.fix) from None

    def _array(self, template: list[Any]) -> str | None:
        parts = [self._at(each, index) for index, each in enumerate(template)]
        if not any(parts):
            return None
        return f"[{', '.join(part or self.bound(each) for part, each in zip(parts, template, strict=True))}]"

    def _object(self, template: dict[str, Any]) -> str | None:
        if set(template) == {"by", "otherwise"}:
            raise ExpressionError("has `by` and no `values`", fix="add the values")
        parts = {key: self._at(each, key) for key, each in template.items()}
        optional = tuple(key[:-1] for key in template if key.endswith("?"))
        if not optional and not any(parts.values()):
            return None
        pairs = [
            f"{self.bound(key.removesuffix('?'))}: {part or self.bound(template[key])}" for key, part in parts.items()
        ]
        source = f"{{{', '.join(pairs)}}}"
        return f"without_nulls({source}, {self.bound(optional)})" if optional else source

    def _choice(self, template: dict[str, Any]) -> str:
        by, cases, rest = self._at(template["by"], "by"), template["values"], template.get("otherwise")
        if by is None:
            raise ExpressionError("`by` must be an expression, which starts with $", ("by",))
        if template["by"] == "$task.model":  # a model that is served for another name has its shape
            by = "s.task.model.shape"
        if not isinstance(cases, dict):
            raise ExpressionError("`values` must be a mapping", ("values",))
        values = {key: self._at(each, "values", key) for key, each in cases.items()}
        otherwise = self._at(rest, "otherwise")
        if otherwise is None and not any(values.values()):
            return f"{self.bound(cases)}.get(spelled({by}), {self.bound(rest)})"
        made = {key: self.function(source or self.bound(cases[key])) for key, source in values.items()}
        return f"{self.bound(made)}.get(spelled({by}), {self.bound(self.function(otherwise or self.bound(rest)))})(s)"

    def _text(self, text: str) -> str | None:
        if text.startswith("$"):
            return f"({self._expression(text)})"
        pieces = INSIDE.split(text)
        self._check_literals(text, pieces[::2])
        if len(pieces) == 1:
            return None
        written = [self.bound(pieces[0])]
        for expression, rest in zip(pieces[1::2], pieces[2::2], strict=True):
            found = self._expression(expression)
            written += [f"('' if ({found}) is None else spelled({found}))", self.bound(rest)]
        return f"''.join(({', '.join(written)},))"

    def _check_literals(self, text: str, literals: list[str]) -> None:
        root, _, name = text.partition("#")[0].partition(".")
        if root in NAMES and name in names_of(root):
            raise ExpressionError(f"{text} is sent as it stands", fix=f"write ${text}")
        for literal in literals:
            meant = _MEANT.search(literal)
            if meant is not None:
                raise ExpressionError(f"{meant[0]} is sent as it stands", fix="write {$…}, with both braces and the $")

    def _expression(self, text: str) -> str:
        head, _, pointer = text.partition("#")
        words = head[1:].split(".")
        source = self._root(text, words)
        if not pointer:
            return source
        if not pointer.startswith("/"):
            raise ExpressionError(f"{text}: expected a JSON pointer, which starts with /, after #")
        keys = keys_of(pointer)
        if source == "s.body" and len(keys) == 1:
            return f"s.body.get({self.bound(keys[0])}) if isinstance(s.body, dict) else None"
        if source == "s.input" and len(keys) == 1:
            key = self.bound(keys[0])
            return f"s.inputs.get({key}) if isinstance(s.inputs, dict) else pointed({source}, ({key},))"
        return f"pointed({source}, {self.bound(keys)})"

    def _root(self, text: str, words: list[str]) -> str:
        root, name = words[0], ".".join(words[1:])
        if root == "request" and len(words) > 1:
            return self._request(text, words[1], ".".join(words[2:]))
        if words == ["input"]:
            return "s.input"
        if words == ["request_id"]:
            return "s.request_id"
        if root == "draw":
            if name not in self._draws:
                raise ExpressionError(f"{text}: unknown draw {name!r}", fix=suggestion(name, self._draws))
            return f"s.drawn({self.bound(name)})"
        if root == "reply" and name:
            return f"s.reply({self.bound(name)})"
        if root == "url" and len(words) == 2:
            return f"s.url_of({self.bound(name)})"
        if root not in NAMES:
            raise ExpressionError(f"{text}: ${root} is unknown", fix=suggestion(f"${root}", map("${}".format, ROOTS)))
        names = names_of(root)
        if name not in names:
            raise ExpressionError(f"{text}: ${root} has no {name!r}", fix=suggestion(name, sorted(names)))
        return names[name]

    def _request(self, text: str, place: str, name: str) -> str:
        if place == "body" and not name:
            return "s.body"
        if place == "method" and not name:
            return "s.request.method"
        if place == "path" and not name:
            return "s.request.path"
        if place == "query" and name:
            return f"s.request.query.get({self.bound(name)})"
        if place == "path":
            return f"s.path_values.get({self.bound(name)})"
        if place == "header" and name:
            return f"s.header({self.bound(name)})"
        fix = suggestion(place, ("body", "method", "path", "query", "header"))
        raise ExpressionError(
            f"{text}: $request has body, method, path, query.NAME, path.NAME and header.NAME", fix=fix
        )


def _iso_text(instant_ms: int | None) -> str | None:
    """Convert an instant to ISO 8601, with a precision of one second; None stays None."""
    return None if instant_ms is None else iso_of(instant_ms, digits=0)


def _without_nulls(made: dict[str, Any], optional: tuple[str, ...]) -> dict[str, Any]:
    """Remove the optional keys whose value is null."""
    for key in optional:
        if made[key] is None:
            del made[key]
    return made


def _spelled(value: Any) -> str:
    """Return a value as text, for the keys of `values` and inside longer strings: 10 is '10', null is 'null'."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
