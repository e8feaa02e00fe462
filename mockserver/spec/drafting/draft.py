"""Puts an overlay together from the operations that were chosen, and says what was not found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from mockserver.spec.document import PATH_PARAMETER, Document
from mockserver.spec.drafting.candidates import (
    JSON,
    Entry,
    callback_field,
    id_parameter,
    list_place,
    raw_callbacks,
)
from mockserver.spec.drafting.fields import Field, fields_of, flat, properties_of, shown, types_of, words_of
from mockserver.spec.drafting.replies import Facts, has_file, reply_template
from mockserver.spec.drafting.states import Status, status_of, statuses
from mockserver.spec.overlay import query_of
from mockserver.spec.samples import sample
from mockserver.spec.schema import compile_schema
from mockserver.spec.vocabulary import vocabulary

_FILES = "/mock-files/{task_id}"
_SOUNDS = frozenset(("audio", "speech", "voice", "music", "tts", "song", "sound", "wav", "mp3"))
_PICTURES = frozenset(("image", "images", "picture", "photo", "png", "jpeg"))
_EXTENSIONS = {"video/mp4": ".mp4", "audio/wav": ".wav", "image/png": ".png"}
_LIMITS = ("limit", "size", "pagesize", "perpage", "count", "maxresults", "first", "top")
_AFTER = ("after", "startingafter", "lastid")
_DRAWN = bytes(range(64))
_MOST_ALIASES = 50
_SLUG = re.compile(r"[^A-Za-z0-9._]+")


class DraftError(ValueError):
    """An overlay cannot be drafted; the message says what is missing, and which flag names it."""


@dataclass(frozen=True)
class Chosen:
    """The operations of an overlay."""

    submits: Sequence[Entry]
    query: Entry
    cancel: Entry | None = None
    list: Entry | None = None
    #: The field of the query's answer that is the status, if the user names it.
    status_path: tuple[str, ...] | None = None
    #: Those that look as if they deleted a task, or gave its file: the vocabulary has no words for them yet.
    deletes: Sequence[Entry] = ()
    contents: Sequence[Entry] = ()


@dataclass
class Draft:
    """An overlay, and what could not be worked out."""

    actions: list[tuple[str, str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: The status of tasks, where it stands in the answers of the query, and where that of the submit has the id.
    status: Status = field(default_factory=lambda: Status((), (), {}))
    id_path: tuple[str, ...] = ()
    has_file: bool = True
    #: The field of the submit that says where callbacks go.
    callback: tuple[str, ...] | None = None

    def add(self, comment: str, target: tuple[str, ...], update: Any) -> None:
        """Add an action."""
        self.actions.append((comment, query_of(target), update))

    def text(self, extends: str, title: str) -> str:
        """Return the overlay as YAML."""
        head = {
            "overlay": "1.1.0",
            "info": {"title": f"{title}: how it behaves", "version": "1.0.0"},
            "extends": extends,
        }
        parts = [_dumped(head), "actions:\n"]
        for comment, target, update in self.actions:
            parts.append(f"# {comment}\n" + _dumped([{"target": target, "update": update}]))
        return "".join(parts)


class _Dumper(yaml.SafeDumper):
    """Writes small mappings and lists in one line, and repeats what is said twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - its base says it
        return True


def _mapping(dumper: _Dumper, data: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=_is_short(data))


def _is_short(data: Any) -> bool:
    text = str(data)
    return len(text) < 70 and "\n" not in text


_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(
    list,
    lambda dumper, data: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", data, flow_style=_is_short(data) and data != []
    ),
)


def _dumped(data: Any) -> str:
    if isinstance(data, dict):
        return "".join(_one(key, each) for key, each in data.items())
    return "".join(
        f"- target: {_one_line(each['target'])}\n" + _indented(_one("update", each["update"])) for each in data
    )


def _one(key: str, value: Any) -> str:
    if isinstance(value, dict) and value and not _is_short({key: value}):
        return f"{_one_line(key)}:\n" + _indented("".join(_one(name, each) for name, each in value.items()))
    text = yaml.dump(
        {key: value}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20, default_flow_style=False
    )
    return text[1:-2] + "\n" if text.startswith("{") else text


def _one_line(value: Any) -> str:
    return (
        yaml.dump(value, Dumper=_Dumper, width=1 << 20, allow_unicode=True).removesuffix("\n...\n").removesuffix("\n")
    )


def _indented(text: str) -> str:
    return "".join(f"  {line}" for line in text.splitlines(keepends=True))


def status_fields(query: Entry) -> list[Field]:
    """Return the fields of an answer that may be a task's status, the likeliest first."""
    return [each for each in statuses(query.fields) if status_of(each) is not None]


def drafted(raw: Document, document: Document, chosen: Chosen) -> Draft:
    """Return an overlay for the operations that were chosen.

    Args:
        raw: the document as it is written.
        document: the same, completed.
        chosen: its operations.

    Raises:
        DraftError: something that every overlay needs was not found.
    """
    return _Drafter(raw, document, chosen).run()


class _Drafter:
    def __init__(self, raw: Document, document: Document, chosen: Chosen) -> None:
        self._raw, self._document, self._chosen = raw, document, chosen
        self._data = document.data
        self._draft = Draft()
        #: Operations that the document asks no key of, and what they get.
        self._without: set[tuple[str, str]] = set()
        self._security: list[Any] = []
        self._status = self._found_status()
        self._query_facts = self._facts_of(chosen.query)
        self._has_file = has_file(self._data, chosen.query.answer, self._query_facts)

    def run(self) -> Draft:
        query, draft = self._chosen.query, self._draft
        draft.status, draft.has_file = self._status, self._has_file
        draft.id_path = self._facts_of(self._chosen.submits[0]).id_path
        if not self._chosen.submits[0].answer:
            draft.id_path = ("id",)
        query_body = reply_template(self._data, query.answer, self._query_facts)
        draft.add("The provider: its states, models, files and errors.", (), {"x-mock": self._root(query_body)})
        self._keys()
        for submit in self._chosen.submits:
            self._submit(submit)
        self._about_task(query, "query", query_body)
        self._cancel()
        self._list()
        self._result()
        return draft

    # -- what is known ------------------------------------------------------------------------------

    def _found_status(self) -> Status:
        query, wanted = self._chosen.query, self._chosen.status_path
        found = query.fields if wanted is not None else statuses(query.fields)
        for each in found:
            if wanted is None or each.path == wanted:
                status = status_of(each)
                if status is not None:
                    self._say_unused(status)
                    return status
        where = f"the answer of {query.name}"
        names = ", ".join(".".join(each.path) for each in found[:5]) or ", ".join(
            ".".join(e.path) for e in query.fields[:8]
        )
        if wanted is not None:
            raise DraftError(f"{where} has no status at {'.'.join(wanted)}; it has {names}")
        raise DraftError(
            f"{where} has no field that tells a success from a failure; name one with --status-field ({names})"
        )

    def _say_unused(self, status: Status) -> None:
        if status.unused:
            self._draft.notes.append(f"no state here: {', '.join(status.unused)} (of {'.'.join(status.path)})")

    def _facts_of(self, entry: Entry, *, of_request: bool = True, fields: Sequence[Field] | None = None) -> Facts:
        named = id_parameter(self._chosen.query)
        name = words_of(named[1]) if named else ()
        known = entry.ids() if fields is None else []
        exact = [each for each in known if each.words == name and len(name) > 1]
        id_path = next((each.path for each in (*exact, *known)), ())
        status = self._status_in(entry.fields if fields is None else fields)
        request = self._chosen.submits[0].request
        return Facts(
            id_path=id_path,
            status=status,
            query_path=self._filled(self._chosen.query, entry, of_request=of_request),
            cancel_path=self._filled(self._chosen.cancel, entry, of_request=of_request),
            inputs=properties_of(request),
            always=frozenset(
                name
                for name, each in properties_of(request).items()
                if name in request.get("required", ()) or flat(self._data, each).get("default") is not None
            ),
            model="$task.model" if self._model_of(self._chosen.submits[0])[1] else "",
            of_request=of_request,
        )

    def _status_in(self, fields: Sequence[Field]) -> Status:
        """Return the status of tasks, where it stands among these fields."""
        found = next((each for each in fields if each.path == self._status.path), None)
        found = found or next(iter(statuses(fields)), None)
        if found is None:
            return replace(self._status, path=())
        if found.path == self._status.path:
            return self._status
        return replace(self._status, path=found.path)

    def _filled(self, entry: Entry | None, at: Entry, *, of_request: bool) -> str:
        """Return the path of an operation on a task, as an answer at another operation can say it."""
        named = None if entry is None else id_parameter(entry)
        if entry is None or named is None or named[0] != "path":
            return ""
        ours = PATH_PARAMETER.findall(at.path) if of_request else []

        def filled(match: re.Match[str]) -> str:
            if match[1] == named[1]:
                return "{$task.id}"
            return f"{{$request.path.{match[1]}}}" if match[1] in ours else match[1]

        return entry.base + PATH_PARAMETER.sub(filled, entry.path)

    def _model_of(self, submit: Entry) -> tuple[str, str]:
        """Return the expression for a submit's model, and the field of the body that names it, if one must."""
        request = submit.request
        for name, raw in properties_of(request).items():
            is_named = words_of(name) in (("model",), ("model", "id"), ("model", "name"), ("engine",))
            is_needed = name in request.get("required", ()) and len(self._chosen.submits) == 1
            if is_named and is_needed and "string" in types_of(flat(self._data, raw)):
                return f"$request.body#/{name}", name
        return "$request.path", ""

    # -- parts --------------------------------------------------------------------------------------

    def _root(self, query_body: Any) -> dict[str, Any]:
        root: dict[str, Any] = {"ids": {"task": {"format": self._id_format()}}}
        root["models"] = dict(self._models())
        root["lifecycle"] = self._lifecycle()
        if self._has_file:
            media = self._media()
            path = f"{_FILES}{_EXTENSIONS[media]}"
            root["results"] = {"file": {"media": media, "path": path, "lifetime_s": 86400}}
        else:
            self._draft.notes.append(f"no link to a file in the answer of {self._chosen.query.name}")
        callbacks = self._callbacks(query_body)
        if callbacks:
            root["callbacks"] = callbacks
        return {**root, **self._errors()}

    def _id_format(self) -> str:
        path = self._query_facts.id_path or self._facts_of(self._chosen.submits[0]).id_path
        found = next(
            (each for each in (*self._chosen.query.fields, *self._chosen.submits[0].fields) if each.path == path), None
        )
        example = shown(found.schema) if found is not None else None
        if found is not None and found.schema.get("format") == "uuid":
            return "{uuid}"
        if found is not None and types_of(found.schema) == ("integer",):
            self._draft.notes.append(f"{'.'.join(path)} is a number in the document, and a text here")
            return "{digits:12}"
        if isinstance(example, str):
            for sign in ("_", "-"):
                head, _, rest = example.rpartition(sign)
                if head.isalpha() and head.isascii() and len(rest) >= 3 and len(example) != 36:
                    return f"{head}{sign}{{hex:24}}"
        return "{hex:24}"

    def _models(self) -> Iterator[tuple[str, Any]]:
        for submit in self._chosen.submits:
            name = self._model_of(submit)[1]
            model: dict[str, Any] = {"request": self._request_of(submit)}
            if name:
                schema = flat(self._data, properties_of(submit.request)[name])
                known = [each for each in schema.get("enum", ()) if isinstance(each, str)]
                example = shown(schema)
                title = known[0] if known else example if isinstance(example, str) and example else "any"
                others = known[1:_MOST_ALIASES] if known else ["*"]
                if others:
                    model["aliases"] = others
            else:
                words = [each for each in submit.steps if not PATH_PARAMETER.search(each)]
                same = [each for each in self._chosen.submits if each.steps[-1:] == submit.steps[-1:]]
                title = _SLUG.sub("-", " ".join(words[-1:] if len(same) == 1 else words)).strip("-") or "default"
                model["aliases"] = ["*" + PATH_PARAMETER.sub("*", submit.path)]
            body = self._example(submit)
            if body is not None:
                if name:
                    body[name] = title
                model["example"] = body
            model["price"] = {"reserve": {"base_credits": 0}}
            if self._has_file:
                model["result"] = "file"
            yield title, model

    def _request_of(self, submit: Entry) -> str:
        media_type = submit.content[0]
        if not media_type:
            return "#/components/schemas/AnyRequest"
        keys = ("paths", submit.path, submit.method, "requestBody", "content", media_type, "schema")
        return "#/" + "/".join(each.replace("~", "~0").replace("/", "~1") for each in keys)

    def _example(self, submit: Entry) -> dict[str, Any] | None:
        """Return a body with what is required, and with the prompt."""
        schema = submit.content[1]
        if not schema:
            return {}
        whole = sample(self._data, schema, _DRAWN)
        if not isinstance(whole, dict):
            return None
        accepts = compile_schema(self._document, dict(schema), of_request=True).accepts
        needed = {*submit.request.get("required", ()), "prompt", "text"}
        small = {key: each for key, each in whole.items() if key in needed}
        return next((each for each in (small, whole) if accepts(each)), None)

    def _lifecycle(self) -> dict[str, Any]:
        status = self._status
        states: dict[str, Any] = {}
        for number, name in enumerate(status.states):
            is_last = number == len(status.states) - 1
            states[name] = {"lasts_s": {"from": 20, "to": 40} if is_last else 2}
            if is_last and "$task.progress" in repr(
                reply_template(self._data, self._chosen.query.answer, self._query_facts)
            ):
                states[name]["progress"] = {"from": 0, "to": 99}
        ends: dict[str, Any] = {}
        for kind, name in status.ends.items():
            ends[name] = {"kind": kind}
            if kind == "failure":
                ends[name]["reasons"] = {"generation_failed": {"message": "The task failed."}}
        return {"states": states, "ends": ends}

    def _media(self) -> str:
        entries = (self._chosen.query, *self._chosen.submits)
        names = {word for entry in entries for each in entry.fields for word in each.words}
        words = names.union(*(entry.words for entry in entries))
        allowed = vocabulary()["$defs"]["result"]["properties"]["media"].get("enum")
        wanted = "video/mp4"
        if "video" not in words and "videos" not in words:
            wanted = "audio/wav" if _SOUNDS & words else "image/png" if _PICTURES & words else wanted
        return wanted if allowed is None or wanted in allowed else "video/mp4"

    def _callbacks(self, query_body: Any) -> dict[str, Any] | None:
        where = callback_field(self._chosen.submits[0])
        bodies = list(raw_callbacks(self._raw, self._chosen.submits[0]))
        if where is None:
            if bodies:
                self._draft.notes.append("callbacks or webhooks, but no field of the submit says where they go")
            return None
        body: Any = None
        for schema in bodies:
            fields = list(fields_of(self._raw.data, schema))
            if statuses(fields):
                facts = self._facts_of(self._chosen.query, of_request=False, fields=fields)
                ids = [each.path for each in fields if each.path == self._query_facts.id_path]
                body = reply_template(self._raw.data, schema, replace(facts, id_path=ids[0] if ids else ("id",)))
                break
        if body is None:
            facts = self._facts_of(self._chosen.query, of_request=False)
            body = reply_template(self._data, self._chosen.query.answer, facts)
        if body == query_body:
            body = f"$reply.{self._chosen.query.id}"
        self._draft.callback = where.path
        ends = [name for kind, name in self._status.ends.items() if kind != "cancellation"]
        keys = "/".join(each.replace("~", "~0").replace("/", "~1") for each in where.path)
        return {
            "url": f"$input#/{keys}",
            "events": dict.fromkeys(ends, body),
            "acknowledged_by": "2xx",
            "timeout_s": 10,
            "retry_after_s": [10, 60],
        }

    def _errors(self) -> dict[str, Any]:
        """Return the form of errors, where the document has one."""
        responses = self._chosen.submits[0].raw.get("responses", {})
        refused = [each for each in ("400", "422", "4XX", "default", "401", "404", "429") if each in responses]
        out: dict[str, Any] = {}
        for status in refused:
            content = self._document.followed(responses[status]).get("content", {})
            media = next((self._document.followed(each) for name, each in content.items() if "json" in name), {})
            body = _error_body(self._data, media.get("schema", {}), 0)
            if "$error.message" in repr(body):
                out["error_body"] = body
                break
        if "422" in refused and "400" not in refused:
            when = ["malformed_body", "invalid_body", "invalid_parameter", "unknown_model", "callback_refused"]
            out["errors"] = {"unprocessable": {"status": 422, "message": "{$problem.message}", "when": when}}
        return out

    def _keys(self) -> None:
        """Let the operations on tasks ask for a key: a task is its account's."""
        ours = [*self._chosen.submits, self._chosen.query, self._chosen.cancel, self._chosen.list]
        without = [each for each in ours if each is not None and not each.raw.get("security")]
        if not without:
            return
        name = self._data["x-mock"]["authentication"]["scheme"]
        if name not in (self._raw.data.get("components") or {}).get("securitySchemes", {}):
            update = {"components": {"securitySchemes": {name: {"type": "http", "scheme": "bearer"}}}}
            self._draft.add("A task is its account's: the document has no key in a header.", (), update)
            self._draft.notes.append("the document has no key in a header: a bearer token is asked for")
        self._without = {(each.method, each.path) for each in without}
        self._security = [{name: []}]

    def _operation(self, entry: Entry, comment: str, mock: dict[str, Any], **more: Any) -> None:
        update: dict[str, Any] = {**more, "x-mock": mock}
        if (entry.method, entry.path) in self._without:
            update["security"] = self._security
        written = self._raw.data.get("paths", {}).get(entry.path, {})
        if written.get(entry.method, {}).get("operationId") != entry.id and "$ref" not in written:
            update = {"operationId": entry.id, **update}
        if entry.method in written:
            self._draft.add(comment, ("paths", entry.path, entry.method), update)
        else:  # the path leads to another file
            self._draft.add(comment, ("paths", entry.path), {entry.method: update})

    def _submit(self, submit: Entry) -> None:
        facts = self._facts_of(submit)
        if not facts.id_path and submit.answer:
            self._draft.notes.append(f"no id in the answer of {submit.name}")
        same = submit.answer and submit.answer == self._chosen.query.answer
        body = f"$reply.{self._chosen.query.id}" if same else reply_template(self._data, submit.answer, facts)
        if not submit.answer:
            body = {"id": "$task.id", "status": self._status.template}
        reply: dict[str, Any] = {"status": submit.success[0], "body": body}
        headers = {each.lower(): each for each in self._document.followed(submit.success[1]).get("headers", {})}
        for name in ("operation-location", "location"):
            if name in headers and facts.query_path:
                reply["headers"] = {headers[name]: f"{{$server.url}}{facts.query_path}"}
        more: dict[str, Any] = {}
        media_type = submit.content[0]
        if media_type and "json" not in media_type:
            self._draft.notes.append(f"{submit.name} takes {media_type}; the mock takes the same as JSON")
            more["requestBody"] = {"content": {JSON: {"schema": {"$ref": self._request_of(submit)}}}}
        elif not media_type:
            update = {"components": {"schemas": {"AnyRequest": {"type": "object"}}}}
            self._draft.add("The document says nothing of the body.", (), update)
        mock = {"role": "submit", "model": self._model_of(submit)[0], "reply": reply}
        self._operation(submit, "It makes a task.", mock, **more)

    def _about_task(self, entry: Entry, role: str, body: Any) -> None:
        named = id_parameter(entry)
        assert named is not None
        reply = {"status": entry.success[0], "body": body}
        mock = {"role": role, "task": f"$request.{named[0]}.{named[1]}", "reply": reply}
        self._operation(entry, {"query": "It asks for a task.", "cancel": "It cancels a task."}[role], mock)

    def _cancel(self) -> None:
        cancel = self._chosen.cancel
        if cancel is None:
            return
        if "cancellation" not in self._status.ends:
            self._draft.notes.append(f"{cancel.name} is not used: no word of the status is a cancelled task")
            return
        same = cancel.answer and cancel.answer == self._chosen.query.answer
        body = (
            f"$reply.{self._chosen.query.id}"
            if same
            else reply_template(self._data, cancel.answer, self._facts_of(cancel))
        )
        self._about_task(cancel, "cancel", body)

    def _list(self) -> None:
        entry = self._chosen.list
        place = None if entry is None else list_place(entry)
        if entry is None or place is None:
            return
        schema = flat(self._data, entry.answer)
        body: Any = reply_template(self._data, schema, replace(self._facts_of(entry), id_path=(), has_file=False))
        if not place:
            body = "$list.items"
        holder = body
        for key in place[:-1]:
            holder = holder.setdefault(key, {}) if isinstance(holder, dict) else {}
        if place:
            holder.pop(f"{place[-1]}?", None)
            holder[place[-1]] = "$list.items"
            _paging(self._data, schema, body)
        mock: dict[str, Any] = {"role": "list"}
        for key, names in (("limit", _LIMITS), ("after", _AFTER)):
            found = [each for each in entry.parameters("query") if "".join(words_of(each["name"])) in names]
            if found:
                mock[key] = f"$request.query.{found[0]['name']}"
                most = flat(self._data, found[0].get("schema", {})).get("maximum")
                if key == "limit" and isinstance(most, int):
                    mock["max_limit"] = most
        mock |= {"item": f"$reply.{self._chosen.query.id}", "reply": {"status": entry.success[0], "body": body}}
        self._operation(entry, "It lists the tasks.", mock)

    def _result(self) -> None:
        if not self._has_file:
            return
        path = f"{_FILES}{_EXTENSIONS[self._media()]}"
        name = {"name": "task_id", "in": "path", "required": True, "schema": {"type": "string"}}
        entry = {
            "operationId": "getMockFile",
            "security": [],
            "parameters": [name],
            "responses": {"default": {"description": "The file."}},
            "x-mock": {"role": "result"},
        }
        self._draft.add("The file of a task that has succeeded.", ("paths",), {path: {"get": entry}})


def _error_body(data: Mapping[str, Any], raw: Any, depth: int) -> Any:
    """Return the template of errors that have this schema."""
    schema = flat(data, raw)
    out: dict[str, Any] = {}
    for name, each in properties_of(schema).items():
        part, words = flat(data, each), {*words_of(name)}
        types = types_of(part)
        if properties_of(part) and depth < 3:
            inner = _error_body(data, each, depth + 1)
            if inner:
                out[name] = inner
        elif "string" in types and {"message", "detail", "msg", "description", "error", "title"} & words:
            out[name] = "$error.message"
        elif "integer" in types and {"code", "status"} & words:
            out[name] = "$error.status"
        elif "string" in types and {"code", "type", "status"} & words and "enum" not in part:
            out[name] = "$error.name"
        elif words == {"request", "id"}:
            out[name] = "$request_id"
        elif {"param", "field"} & words and "string" in types:
            out[f"{name}?"] = "$problem.field"
        elif name in schema.get("required", ()):
            out[name] = sample(data, each, _DRAWN)
    return out


def _paging(data: Mapping[str, Any], schema: Mapping[str, Any], body: dict[str, Any]) -> None:
    """Fill in what a list says of its pages."""
    for name, raw in properties_of(schema).items():
        words, types = {*words_of(name)}, types_of(flat(data, raw))
        rules: list[tuple[bool, Any]] = [
            (words in ({"total"}, {"count"}, {"total", "count"}) and "integer" in types, "$list.total"),
            (words == {"has", "more"}, {"by": "$list.next", "values": {"null": False}, "otherwise": True}),
            (bool({"next", "last"} & words) and bool({"id", "token", "cursor"} & words), "$list.next"),
        ]
        for fits, made in rules:
            if fits:
                body.pop(name, None)
                body[name if isinstance(made, dict) else f"{name}?"] = made
