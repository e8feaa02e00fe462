"""Puts an overlay together from the operations that were chosen, and says what was not found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mockserver.spec.document import PATH_PARAMETER, Document
from mockserver.spec.drafting.candidates import JSON, Entry, id_parameter, list_place
from mockserver.spec.drafting.fields import flat, properties_of, types_of, words_of
from mockserver.spec.drafting.known import Chosen
from mockserver.spec.drafting.replies import reply_template
from mockserver.spec.drafting.root import RootDrafter
from mockserver.spec.drafting.writing import Draft
from mockserver.spec.pointer import at, keys_of

_LIMITS = ("limit", "size", "pagesize", "perpage", "count", "maxresults", "first", "top")
_AFTER = ("after", "startingafter", "lastid")


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


class _Drafter(RootDrafter):
    def __init__(self, raw: Document, document: Document, chosen: Chosen) -> None:
        super().__init__(raw, document, chosen)
        #: Operations that the document asks no key of, and what they get.
        self._without: set[tuple[str, str]] = set()
        self._security: list[Any] = []

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

    # -- parts --------------------------------------------------------------------------------------

    def _keys(self) -> None:
        """Let the operations on tasks ask for a key: a task is its account's."""
        ours = [*self._chosen.submits, self._chosen.query, self._chosen.cancel, self._chosen.list]
        without = [each for each in ours if each is not None and not each.raw.get("security")]
        if not without:
            return
        name = self._data["x-mock"]["authentication"]["scheme"]
        if at(self._raw.data, ("components", "securitySchemes", name)) is None:
            update = {"components": {"securitySchemes": {name: {"type": "http", "scheme": "bearer"}}}}
            self._draft.add("A task is its account's: the document has no key in a header.", (), update)
            self._draft.notes.append("the document has no key in a header: a bearer token is asked for")
        self._without = {(each.method, each.path) for each in without}
        self._security = [{name: []}]

    def _operation(self, entry: Entry, comment: str, mock: dict[str, Any], **more: Any) -> None:
        update: dict[str, Any] = {**more, **self._undeclared(entry, mock), "x-mock": mock}
        if (entry.method, entry.path) in self._without:
            update["security"] = self._security
        written = self._raw.data["paths"][entry.path]
        own = written.get(entry.method)
        if isinstance(own, dict) and own.get("operationId") != entry.id:
            update = {"operationId": entry.id, **update}
        if isinstance(own, dict):
            self._draft.add(comment, ("paths", entry.path, entry.method), update)
        else:  # the path leads to another file
            self._draft.add(comment, ("paths", entry.path), {entry.method: update})

    def _undeclared(self, entry: Entry, mock: dict[str, Any]) -> dict[str, Any]:
        """Return what the document forgets to declare: parameters of the path, and the status of the answer."""
        out: dict[str, Any] = {}
        declared = {each["name"] for each in entry.parameters("path")}
        forgotten = [name for name in PATH_PARAMETER.findall(entry.path) if name not in declared]
        if forgotten:
            known = {"in": "path", "required": True, "schema": {"type": "string"}}
            out["parameters"] = [{"name": name, **known} for name in forgotten]
        status = str(mock["reply"]["status"])
        if not {status, f"{status[0]}XX", "DEFAULT"} & {str(each).upper() for each in entry.raw.get("responses", {})}:
            out["responses"] = {status: {"description": "A success."}}
        return out

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
        if submit.content[1] and "json" not in media_type:
            self._draft.notes.append(f"{submit.name} takes {media_type}; the mock takes the same as JSON")
            as_json = {"content": {JSON: {"schema": {"$ref": self._request_of(submit)}}}}
            reference = at(self._raw.data, ("paths", submit.path, submit.method, "requestBody", "$ref"))
            if isinstance(reference, str) and reference.startswith("#/"):
                self._draft.add("It takes JSON as well.", keys_of(reference[1:]), as_json)
            else:
                more["requestBody"] = as_json
        elif not submit.content[1]:
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
        name = {"name": "task_id", "in": "path", "required": True, "schema": {"type": "string"}}
        entry = {
            "operationId": "getMockFile",
            "security": [],
            "parameters": [name],
            "responses": {"default": {"description": "The file."}},
            "x-mock": {"role": "result"},
        }
        self._draft.add("The file of a task that has succeeded.", ("paths",), {self._file_path(): {"get": entry}})


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
