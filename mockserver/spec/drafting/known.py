"""What is known of a document's tasks, once its operations are chosen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mockserver.spec.document import PATH_PARAMETER, Document
from mockserver.spec.drafting.candidates import Entry, id_parameter
from mockserver.spec.drafting.fields import Field, flat, properties_of, types_of, words_of
from mockserver.spec.drafting.replies import Facts, has_file
from mockserver.spec.drafting.states import Status, guessed, kind_of, listed_in, status_of, statuses
from mockserver.spec.drafting.writing import Draft


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


class Known:
    """A document, its operations that were chosen, and what their schemas say of tasks."""

    def __init__(self, raw: Document, document: Document, chosen: Chosen) -> None:
        self._raw, self._document, self._chosen = raw, document, chosen
        self._data = document.data
        self._draft = Draft()
        self._status = self._found_status()
        self._query_facts = self._facts_of(chosen.query)
        self._has_file = has_file(self._data, chosen.query.answer, self._query_facts)

    def _found_status(self) -> Status:
        query, wanted = self._chosen.query, self._chosen.status_path
        found = query.fields if wanted is not None else statuses(query.fields)
        for each in found:
            if wanted is None or each.path == wanted:
                status = status_of(each)
                if status is not None:
                    self._say_unused(status)
                    return status
        for each in found:
            status = guessed(each) if wanted in (None, each.path) else None
            if status is not None:
                order = f"{', '.join(status.states)}, {status.ends['success']} as success"
                self._draft.notes.append(f"guessed from the order of {'.'.join(each.path)}: {order}")
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
        words = listed_in(found.schema)
        names = (*self._status.states, *self._status.ends.values())
        if self._status.shows or not words or {*names} <= {*words}:
            return replace(self._status, path=found.path)
        likely = {name: [each for each in words if kind_of(each) == kind_of(name)] for name in names}
        shows = {name: name if name in words else (likely[name] or words)[0] for name in names}
        return replace(self._status, path=found.path, shows=shows)

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
