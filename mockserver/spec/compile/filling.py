"""`reply: from-schema`: fill the schema of an operation's response with the facts of the task.

What each field shows is told by its name and type. A field that is required and shows none of the facts has a value
made from its schema; one that is not required is left out. `from-schema` may hold fields that say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mockserver.chance import DRAW_BYTES
from mockserver.spec.compile.facts import (
    ALWAYS,
    FAILURE,
    LATER,
    SUCCESS,
    Fact,
    fact_of,
    instant_of,
    kind_of,
    snake,
    words_for,
)
from mockserver.spec.document import followed
from mockserver.spec.media_types import is_json
from mockserver.spec.samples import merged, sample

WORD = "from-schema"
_METHODS = ("get", "put", "post", "delete", "patch")
_DRAWN = bytes(DRAW_BYTES)
_MOST_DEEP = 6
_NOTHING: Any = object()
_EMPTY = {"string": "", "array": [], "object": {}, "integer": 0, "number": 0, "boolean": False}
_TABLE_OF = {"list": "list", "upload": "upload", "balance": "balance"}
_STATUS = re.compile(r"((task|job|run|operation)_)?(status|state|phase)")
_DONE = re.compile(r"(is_)?(done|completed?|finished)")
_IDS = ("id", "task_id", "job_id", "uuid", "task_uuid", "operation_id")
_OF_TASKS = ("submit", "query", "cancel", "list")
_URL_ROLES = {
    "query": r"(status|polling|poll|task|operation|self|query)(_ur[li]|_link|_location)?|get|operation_location",
    "cancel": r"cancel(_ur[li]|_link)?",
}


def fill_replies(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a document with each `from-schema` written out; the same where there is none."""
    changed: dict[str, dict[str, Any]] = {}
    for path, method, entry in _operations(data):
        mock = entry["x-mock"]
        reply, filler = mock.get("reply"), None
        if reply == WORD or (isinstance(reply, dict) and WORD in reply):
            filler = _Filler(data, entry)
            mock = {**mock, "reply": _written(data, entry, {} if reply == WORD else reply, filler)}
        if mock["role"] == "list" and "item" not in mock:
            shown = _of_role(data, "query")
            usual = f"$reply.{shown}" if shown else {"id": "$task.id", "status": "$task.status"}
            mock = {**mock, "item": (filler and filler.item) or usual}
        if mock is not entry["x-mock"]:
            changed.setdefault(path, {})[method] = {**entry, "x-mock": mock}
    if not changed:
        return data
    return {
        **data,
        "paths": {**data["paths"], **{path: {**data["paths"][path], **new} for path, new in changed.items()}},
    }


def _operations(data: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in data["paths"].items():
        for method in _METHODS:
            entry = item.get(method)
            if isinstance(entry, dict) and isinstance(entry.get("x-mock"), dict) and "role" in entry["x-mock"]:
                yield path, method, entry


def _of_role(data: Mapping[str, Any], role: str) -> str | None:
    """Return the id of the first operation of a role."""
    return next((each.get("operationId") for _, _, each in _operations(data) if each["x-mock"]["role"] == role), None)


def _written(data: dict[str, Any], entry: dict[str, Any], reply: dict[str, Any], filler: _Filler) -> dict[str, Any]:
    status, schema = _response(data, entry, reply.get("status"))
    rest, changes = {key: each for key, each in reply.items() if key != WORD}, reply.get(WORD) or {}
    if schema is None and not changes:
        return {"status": status, **rest, "body": None}
    return {"status": status, **rest, "body": _overridden(filler.body(schema or {}), changes)}


def _response(data: dict[str, Any], entry: dict[str, Any], wanted: int | None) -> tuple[int, Any]:
    """Return the status and the schema of the first success that the operation declares, or of the wanted status.

    The schema is None where the response has no body.
    """
    responses = {str(status): each for status, each in entry.get("responses", {}).items()}
    good = sorted(int(each) for each in responses if each.isdecimal() and 200 <= int(each) < 300)
    status = wanted or (good[0] if good else 200)
    found = followed(data, responses.get(str(status), responses.get("2XX", responses.get("default"))))
    content = found.get("content")
    if found and not content:
        return status, None
    for name, media in content.items() if isinstance(content, dict) else ():
        if is_json(name) and isinstance(media, dict):
            return status, media.get("schema", {})
    return status, None


def _overridden(body: Any, changes: Any) -> Any:
    """Put other values into a body, field by field; null leaves a field out."""
    if not isinstance(changes, dict) or not isinstance(body, dict) or {"by", "values"} <= set(changes):
        return changes
    out = dict(body)
    for key, each in changes.items():
        name = key.removesuffix("?")
        old = next((known for known in (name, f"{name}?") if known in out), None)
        before = None if old is None else out[old]
        if each is None:
            out.pop(old or name, None)
        else:
            gate = before if isinstance(before, dict) and {"by", "values"} <= set(before) else None
            new = _gated(gate, each) if gate is not None and isinstance(each, dict) else _overridden(before, each)
            out = {(key if known == old else known): (new if known == old else value) for known, value in out.items()}
            out.setdefault(key, new)
    return out


def _gated(gate: dict[str, Any], changes: dict[str, Any]) -> Any:
    """Put other values into what is shown of a task that has ended in one way."""
    if {"by", "values"} <= set(changes):
        return changes
    return {**gate, "values": {state: _overridden(each, changes) for state, each in gate["values"].items()}}


class _Made(NamedTuple):
    """A template for a field, and when it is not null."""

    template: Any
    when: str = ALWAYS


class _Filler:
    """Fills the schema of one response."""

    def __init__(self, data: dict[str, Any], entry: dict[str, Any]) -> None:
        self._data, self._mock = data, data["x-mock"]
        self._mine, self._role = entry["x-mock"], entry["x-mock"]["role"]
        self._table = _TABLE_OF.get(self._role, "task")
        self._asked = self._request_fields()
        self._has_id = False
        #: Of a list: the template of an entry.
        self.item: Any = None

    def body(self, schema: Any) -> Any:
        """Return the template of the whole body."""
        node = merged(self._data, schema)
        if "array" in _types(node):
            return self._entries(node).template if self._role == "list" else []
        self._has_id = any(name in _IDS for name in self._names(node, 0))
        return self._object(node, self._table, 0, is_root=True).template

    def _names(self, node: Mapping[str, Any], depth: int) -> Iterator[str]:
        for name, raw in (node.get("properties") or {}).items():
            yield snake(name)
            below = merged(self._data, raw) if depth < 1 else {}
            if "object" in _types(below):
                yield from self._names(below, depth + 1)

    def _request_fields(self) -> dict[str, tuple[str, ...]]:
        """Return the fields of submit bodies, with their types."""
        out: dict[str, tuple[str, ...]] = {}
        for _, _, entry in _operations(self._data):
            content = followed(self._data, entry.get("requestBody")).get("content")
            if entry["x-mock"]["role"] != "submit" or not isinstance(content, dict):
                continue
            for media in content.values():
                schema = merged(self._data, media.get("schema") if isinstance(media, dict) else {})
                for name, raw in (schema.get("properties") or {}).items():
                    out.setdefault(name, _types(merged(self._data, raw)))
        return out

    def _object(self, node: Mapping[str, Any], table: str, depth: int, *, is_root: bool = False) -> _Made:
        required = node.get("required", ())
        made: dict[str, tuple[_Made, Any, bool]] = {}
        for name, raw in (node.get("properties") or {}).items():
            field = merged(self._data, raw)
            found = self._field(name, raw, field, table, depth, node, is_required=name in required)
            if found is not _NOTHING:
                made[name] = found, field, name in required
        whens = {
            each.when for each, _, _ in made.values() if isinstance(each.template, str) and each.template[:1] == "$"
        }
        whens |= {each.when for each, _, _ in made.values() if each.when != ALWAYS}
        gate = whens.pop() if len(whens) == 1 and not is_root else ALWAYS
        if gate in (SUCCESS, FAILURE):
            return _Made({name: each.template for name, (each, _, _) in made.items()}, gate)
        out: dict[str, Any] = {}
        for name, (each, field, is_required) in made.items():
            out[name if is_required or each.when == ALWAYS else f"{name}?"] = self._shown(each, field, is_required)
        return _Made(out)

    def _shown(self, made: _Made, field: Mapping[str, Any], is_required: bool) -> Any:
        """Return what a field shows, whatever the task's state."""
        if made.when == ALWAYS:
            return made.template
        may_be_null = not is_required or "null" in _types(field)
        usual = None if may_be_null else _EMPTY.get(next(iter(_types(field)), ""))
        if isinstance(made.template, str):
            if may_be_null:
                return made.template if made.template != "$task.result_urls" else self._in_end(made, None)
            return {"by": made.template, "values": {"null": usual}, "otherwise": made.template}
        return self._in_end(made, usual)

    def _in_end(self, made: _Made, otherwise: Any) -> Any:
        kind = {SUCCESS: "success", FAILURE: "failure"}.get(made.when)
        ends = [name for name, each in self._mock["lifecycle"]["ends"].items() if kind_of(each) == kind]
        return {"by": "$task.status", "values": dict.fromkeys(ends, made.template), "otherwise": otherwise}

    def _field(
        self,
        name: str,
        raw: Any,
        field: Mapping[str, Any],
        table: str,
        depth: int,
        around: Mapping[str, Any],
        *,
        is_required: bool,
    ) -> Any:
        if field.get("writeOnly") is True:
            return _NOTHING
        only = field.get("const", field["enum"][0] if len(field.get("enum", ())) == 1 else _NOTHING)
        types, known = _types(field), snake(name)
        if only is not _NOTHING:
            return _Made(only)
        if "object" in types:
            below = self._below(known, field, table, depth)
            if below is not _NOTHING:
                return below
        elif "array" in types and (items := self._array(name, field, table, depth)) is not _NOTHING:
            return items
        found = self._own(known, field, types, table, around) or fact_of(name, types, table)
        found = found or (instant_of(name, field, types) if table in ("task", "file") else None)
        if found is None and not is_required and table == "task" and self._is_of_status(around):
            found = fact_of(name, types, "failed")
        if found is not None:
            return _Made(found.template, found.when)
        if self._asked.get(name) and set(self._asked[name]) & set(types) and self._role in _OF_TASKS:
            return _Made(f"$input#/{name.replace('~', '~0').replace('/', '~1')}", LATER)
        if not is_required:
            return _NOTHING
        return _Made(None if "null" in types else sample(self._data, raw, _DRAWN))

    def _own(
        self, known: str, field: Mapping[str, Any], types: tuple[str, ...], table: str, around: Mapping[str, Any]
    ) -> Fact | None:
        """Return what needs more than a name to be told: ids, the status, addresses of operations."""
        if table not in ("task", "error") and not (table in ("list", "upload", "balance") and known == "request_id"):
            return None
        text = "string" in types
        if known == "request_id" and text:
            return Fact("$task.id" if table == "task" and self._is_named_by_request() else "$request_id", types)
        if table != "task":
            return None
        if text and (known in _IDS or (known == "name" and "done" in around.get("properties", {}))):
            return Fact("$task.id", types)
        if text and known.endswith("_id") and not self._has_id:
            self._has_id = True
            return Fact("$task.id", types)
        if text and _STATUS.fullmatch(known):
            return Fact(self._status(field), types)
        if "boolean" in types and _DONE.fullmatch(known):
            ends = dict.fromkeys(self._mock["lifecycle"]["ends"], True)
            return Fact({"by": "$task.status", "values": ends, "otherwise": False}, types)
        for role, pattern in _URL_ROLES.items():
            if text and re.fullmatch(pattern, known) and (operation := _of_role(self._data, role)):
                return Fact(f"$url.{operation}", types)
        return None

    def _is_named_by_request(self) -> bool:
        """Tell whether the id of a request is that of its task: where there is no other."""
        if self._has_id:
            return False
        named = snake(str(self._mine.get("task", "")).rpartition(".")[2])
        return self._role not in ("cancel", "delete") or named in ("request_id", "id")

    def _is_of_status(self, node: Mapping[str, Any]) -> bool:
        """Tell whether an object is that of the task, because its status is in it."""
        known = ((snake(name), merged(self._data, raw)) for name, raw in (node.get("properties") or {}).items())
        return any(_STATUS.fullmatch(name) and "string" in _types(field) for name, field in known)

    def _status(self, field: Mapping[str, Any]) -> Any:
        words = words_for(self._mock["lifecycle"], field.get("enum") or []) if field.get("enum") else {}
        return {"by": "$task.status", "values": words, "otherwise": "$task.status"} if words else "$task.status"

    def _below(self, known: str, field: Mapping[str, Any], table: str, depth: int) -> Any:
        if depth >= _MOST_DEEP or not field.get("properties"):
            return _NOTHING
        of_error = re.fullmatch(r"errors?|failure|fail|.*_error", known)
        made = self._object(field, "error" if of_error and table == "task" else table, depth + 1)
        if of_error and table == "task":
            return _Made(made.template, FAILURE)
        return made if made.template or made.when != ALWAYS else _NOTHING

    def _entries(self, field: Mapping[str, Any]) -> _Made:
        items = merged(self._data, field.get("items") or {})
        if items.get("properties") and self.item is None:
            self._has_id = any(name in _IDS for name in self._names(items, 0))
            self.item = self._object(items, "task", 1, is_root=True).template
        return _Made("$list.items")

    def _array(self, name: str, field: Mapping[str, Any], table: str, depth: int) -> Any:
        items = merged(self._data, field.get("items") or {})
        if table == "list":
            return self._entries(field) if "object" in _types(items) or not items else _NOTHING
        if "object" in _types(items) and depth < _MOST_DEEP and table in ("task", "file"):
            made = self._object(items, "file", depth + 1)
            return _Made([made.template], SUCCESS) if made.when == SUCCESS else _NOTHING
        found = fact_of(name, ("array",), table) if "string" in _types(items) or not items else None
        return _NOTHING if found is None else _Made(found.template, found.when)


def _types(node: Mapping[str, Any]) -> tuple[str, ...]:
    types = node.get("type")
    if isinstance(types, str):
        return (types,)
    if isinstance(types, list):
        return tuple(types)
    if "properties" in node:
        return ("object",)
    if "items" in node:
        return ("array",)
    return ("string",) if "enum" in node or "format" in node else ("string", "number", "boolean") if not node else ()
