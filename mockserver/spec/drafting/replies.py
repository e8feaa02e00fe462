"""Writes what an operation answers, from its schema: each field by its name, its type and what a task knows.

`reply_template` is the one way in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mockserver.spec.drafting.candidates import CALLBACKS
from mockserver.spec.drafting.fields import flat, is_text, properties_of, shown, these, types_of, words_of
from mockserver.spec.drafting.states import Status
from mockserver.spec.samples import sample

_NOTHING: Any = object()
_DEEPEST = 8
_LEAST_UNIX_MS = 100_000_000_000
_AT = these("at time date on ts timestamp ms")
_WHEN = {
    "submitted": these("created create creation submitted submit queued enqueued inserted requested"),
    "started": these("started start"),
    "ended": these("completed complete completion finished finish ended end succeeded failed done"),
    "expires": these("expires expire expiration expiry"),
    "now": these("updated update modified now timestamp"),
}
_PROGRESS = these("progress percent percentage")
_FAILURE = these("error errors failure fail reason")
_LINK = these("url uri link href urls uris links")
_FILE = these(
    "video audio image result results output outputs download file files media asset assets content artifact response"
)
_NO_FILE = these(
    "webhook callback status cancel get poll stream self docs help next previous first last logs log input source "
    "reference site page web support upload"
)
_OWN = these("get self status poll query response task")
_CANCEL = these("cancel stop abort")
_DRAWN = bytes(range(64))


@dataclass(frozen=True)
class Facts:
    """What is known of the tasks that an answer is about."""

    id_path: tuple[str, ...]
    status: Status
    #: The paths of the query and the cancel, with the task's id in them.
    query_path: str = ""
    cancel_path: str = ""
    #: The fields of the submit body, by name.
    inputs: Mapping[str, Any] = field(default_factory=dict)
    #: Those of them that are always there.
    always: frozenset[str] = frozenset()
    #: What the name of the task's model is read from; empty where there is none.
    model: str = ""
    has_file: bool = True
    #: What is rendered has a request behind it.
    of_request: bool = True


def reply_template(data: Mapping[str, Any], schema: Any, facts: Facts) -> Any:
    """Return the template of an answer that has this schema.

    Args:
        data: the document that its references lead into.
        schema: the schema.
        facts: what is known of a task, and where the answer shows it.
    """
    made = _Writer(data, facts).value(schema, (), required=True)
    return {} if made is _NOTHING else made


def has_file(data: Mapping[str, Any], schema: Any, facts: Facts) -> bool:
    """Tell whether an answer has a place for the link to a file."""
    return "$task.result_url" in repr(reply_template(data, schema, facts))


class _Writer:
    def __init__(self, data: Mapping[str, Any], facts: Facts) -> None:
        self._data, self._facts = data, facts

    def value(self, raw: Any, path: tuple[str, ...], *, required: bool) -> Any:
        """Return what stands at a place; `_NOTHING` where the answer says nothing there."""
        schema = flat(self._data, raw)
        known = self._known(schema, path, required=required)
        if known is not _NOTHING:
            return known
        if "object" in types_of(schema) and len(path) < _DEEPEST:
            made = self._object(schema, path)
            if made or required:
                return made
            return _NOTHING
        return self._sample(schema) if required else _NOTHING

    def _object(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, raw in properties_of(schema).items():
            if isinstance(raw, dict) and raw.get("writeOnly") is True:
                continue
            needed = name in schema.get("required", ())
            made = self.value(raw, (*path, name), required=needed)
            if made is not _NOTHING:
                out[name if needed or not _may_be_null(made) else f"{name}?"] = made
        return out

    def _sample(self, schema: Mapping[str, Any]) -> Any:
        made = sample(self._data, schema, _DRAWN)
        return made if not isinstance(made, str) or "$" not in made else "text"

    def _known(self, schema: Mapping[str, Any], path: tuple[str, ...], *, required: bool) -> Any:
        """Return what a task knows of a field."""
        facts = self._facts
        if not path:
            return _NOTHING
        if path == facts.id_path:
            return "$task.id"
        if path == facts.status.path:
            return facts.status.template
        name, words, types = path[-1], words_of(path[-1]), types_of(schema)
        above = {*words_of(" ".join(path[:-1]))}
        for made in (
            self._progress(schema, words, types),
            self._instant(schema, words, types),
            self._failure(schema, path, words, types, required=required),
            self._link(schema, words, above, types),
            self._file(schema, path, types, required=required),
        ):
            if made is not _NOTHING:
                return made
        if words in (("request", "id"), ("trace", "id"), ("req", "id")) and is_text(schema):
            return "$request_id" if facts.of_request else _NOTHING
        if facts.model and words in (("model",), ("model", "name"), ("model", "id")) and is_text(schema):
            return facts.model
        if name in facts.inputs and types and types == types_of(flat(self._data, facts.inputs[name])):
            said = f"$input#/{name.replace('~', '~0').replace('/', '~1')}"
            if not required or name in facts.always or "null" in repr(schema.get("type")):
                return said
            return {"by": said, "values": {"null": self._sample(schema)}, "otherwise": said}
        if words in (("success",), ("ok",)) and types == ("boolean",):
            return True
        return _NOTHING

    def _progress(self, schema: Mapping[str, Any], words: tuple[str, ...], types: tuple[str, ...]) -> Any:
        if not _PROGRESS & {*words} or len(words) > 2:
            return _NOTHING
        if {"integer", "number"} & {*types} and schema.get("maximum") == 1:
            status = self._facts.status
            return {"by": "$task.status", "values": {status.states[0]: 0, status.ends["success"]: 1}, "otherwise": 0.5}
        if {"integer", "number"} & {*types}:
            return "$task.progress"
        return "{$task.progress}%" if types == ("string",) else _NOTHING

    def _instant(self, schema: Mapping[str, Any], words: tuple[str, ...], types: tuple[str, ...]) -> Any:
        numeric = bool({"integer", "number"} & {*types})
        dated = schema.get("format") == "date-time"
        if not (numeric or dated or (is_text(schema) and _AT & {*words})) or "boolean" in types or not types:
            return _NOTHING
        if numeric and not (_AT & {*words} or words in (("created",), ("updated",), ("started",), ("completed",))):
            return _NOTHING
        if {"elapsed", "duration", "estimated", "remaining", "wait"} & {*words}:
            return _NOTHING
        what = next((kind for kind, known in _WHEN.items() if known & {*words}), None)
        if what is None:
            return _NOTHING
        example = shown(schema)
        in_ms = "ms" in words or (isinstance(example, int | float) and example > _LEAST_UNIX_MS)
        notation = ("unix_ms" if in_ms else "unix_s") if numeric else "iso"
        return f"$now.{notation}" if what == "now" else f"$task.{what}_{notation}"

    def _failure(
        self,
        schema: Mapping[str, Any],
        path: tuple[str, ...],
        words: tuple[str, ...],
        types: tuple[str, ...],
        *,
        required: bool,
    ) -> Any:
        if not _FAILURE & {*words} or "boolean" in types:
            return _NOTHING
        if properties_of(schema) and len(path) < _DEEPEST:
            inner = {}
            for name, raw in properties_of(schema).items():
                part = flat(self._data, raw)
                reason = _reason(words_of(name), types_of(part))
                if reason is not None:
                    inner[name] = reason
                elif name in schema.get("required", ()):
                    inner[name] = self._sample(part)
            failed = {"by": "$task.status", "values": {self._facts.status.ends["failure"]: inner}}
            return failed if inner else _NOTHING
        if "object" in types:
            failed = {"message": "$task.reason_message"}
            return {"by": "$task.status", "values": {self._facts.status.ends["failure"]: failed}}
        if types == ("array",) or (types and "string" not in types):
            return _NOTHING
        made = _reason(words, types) or "$task.reason_message"
        return f"{{{made}}}" if required and types == ("string",) else made

    def _link(self, schema: Mapping[str, Any], words: tuple[str, ...], above: set[str], types: tuple[str, ...]) -> Any:
        """Return the address of the task itself, or of its cancellation."""
        if not (is_text(schema) and types) or not (_LINK & ({*words} | above) or schema.get("format") == "uri"):
            return _NOTHING
        if _CANCEL & {*words}:
            return f"{{$server.url}}{self._facts.cancel_path}" if self._facts.cancel_path else _NOTHING
        if _OWN & {*words} and self._facts.query_path:
            return f"{{$server.url}}{self._facts.query_path}"
        return _NOTHING

    def _file(self, schema: Mapping[str, Any], path: tuple[str, ...], types: tuple[str, ...], *, required: bool) -> Any:
        """Return the link to the task's file, or all links, where a field has them when it has succeeded."""
        words = {*words_of(path[-1])}
        about = words | {*words_of(" ".join(path[:-1]))}
        if not self._facts.has_file or (_NO_FILE - _FILE) & words or CALLBACKS & words or len(path) >= _DEEPEST:
            return _NOTHING
        linked = bool(_LINK & words) or schema.get("format") in ("uri", "url")
        if is_text(schema) and types:
            return "$task.result_url" if linked else _NOTHING
        if types == ("array",):
            return self._files(schema, path, linked=linked or bool(_FILE & words), about=about, required=required)
        if not types and _FILE & words:
            return "$task.result_url"
        facts = self._facts
        is_around = path in (facts.id_path[: len(path)], facts.status.path[: len(path)])
        if "object" in types and _FILE & words and not is_around:
            made = self._object(schema, path)
            if "$task.result_url" in repr(made):
                return self._when_done(made, required=required)
        return _NOTHING

    def _files(
        self, schema: Mapping[str, Any], path: tuple[str, ...], *, linked: bool, about: set[str], required: bool
    ) -> Any:
        items = flat(self._data, schema.get("items", {}))
        if "string" in types_of(items):
            if not linked and items.get("format") not in ("uri", "url"):
                return _NOTHING
            return "$task.result_urls" if required else self._when_done("$task.result_urls", required=required)
        if properties_of(items) and _FILE & about:
            made = self._object(items, (*path, ""))
            if "$task.result_url" in repr(made):
                return self._when_done([made], required=required)
        return _NOTHING

    def _when_done(self, made: Any, *, required: bool) -> Any:
        choice = {"by": "$task.status", "values": {self._facts.status.ends["success"]: self._at_the_end(made)}}
        if required and isinstance(made, list):
            choice["otherwise"] = []
        return choice

    def _at_the_end(self, made: Any) -> Any:
        """Return a template as it is of a task that has succeeded: nothing waits for that any more."""
        if isinstance(made, list):
            return [self._at_the_end(each) for each in made]
        if not isinstance(made, dict):
            return made
        if {*made} >= {"by", "values"}:
            success = self._facts.status.ends["success"]
            return self._at_the_end(made["values"][success]) if success in made["values"] else made
        return {
            name.removesuffix("?") if "$task.result_url" in repr(each) else name: self._at_the_end(each)
            for name, each in made.items()
        }


def _reason(words: tuple[str, ...], types: tuple[str, ...]) -> str | None:
    """Return what a field about a failure says."""
    if {"code", "type", "status"} & {*words} and "string" in types:
        return "$task.reason_code"
    if {"message", "detail", "details", "reason", "description", "msg", "error", "text"} & {
        *words
    } and "string" in types:
        return "$task.reason_message"
    return None


def _may_be_null(made: Any) -> bool:
    """Tell whether a template may come to null."""
    if isinstance(made, dict) and {*made} == {"by", "values"}:
        return made["by"] == "$task.status" and len(made["values"]) == 1
    sure = ("$task.id", "$task.status", "$task.progress", "$task.result_urls", "$task.submitted", "$now", "$request_id")
    return isinstance(made, str) and made.startswith("$") and not made.startswith(sure)
