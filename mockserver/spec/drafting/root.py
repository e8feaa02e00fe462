"""Drafts the root of an `x-mock`: ids, models, states, files, callbacks, errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mockserver.spec.document import PATH_PARAMETER
from mockserver.spec.drafting.candidates import Entry, callback_field, raw_callbacks
from mockserver.spec.drafting.fields import fields_of, flat, properties_of, shown, types_of, words_of
from mockserver.spec.drafting.known import Known
from mockserver.spec.drafting.replies import reply_template
from mockserver.spec.drafting.states import statuses
from mockserver.spec.samples import sample
from mockserver.spec.schema import compile_schema
from mockserver.spec.vocabulary import vocabulary

_FILES = "/mock-files/{task_id}"
_SOUNDS = frozenset(("audio", "speech", "voice", "music", "tts", "song", "sound", "wav", "mp3"))
_PICTURES = frozenset(("image", "images", "picture", "photo", "png", "jpeg"))
_EXTENSIONS = {"video/mp4": ".mp4", "audio/wav": ".wav", "image/png": ".png"}
_DRAWN = bytes(range(64))
_MOST_ALIASES = 50
_SLUG = re.compile(r"[^A-Za-z0-9._]+")


class RootDrafter(Known):
    """Writes what an overlay says of the provider."""

    def _root(self, query_body: Any) -> dict[str, Any]:
        root: dict[str, Any] = {"ids": {"task": {"format": self._id_format()}}}
        root["models"] = dict(self._models())
        root["lifecycle"] = self._lifecycle()
        if self._has_file:
            root["results"] = {"file": {"media": self._media(), "path": self._file_path(), "lifetime_s": 86400}}
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
        if not submit.content[1]:
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

    def _file_path(self) -> str:
        """Return the path of the files, which the document does not have."""
        return f"{_FILES}{_EXTENSIONS[self._media()]}"

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
