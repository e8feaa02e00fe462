"""Checks that the answers to a task's queries may call its states what they call them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mockserver.provider import Operation
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.lifecycles import as_mapping, lifecycle_entries, names_in
from mockserver.spec.compile.operations import JSON
from mockserver.spec.document import Path_
from mockserver.spec.words import suggestion


def check_statuses(context: Context, operations: Mapping[str, Operation]) -> None:
    """Report states that the schema of an answer does not list."""
    entries = lifecycle_entries(context.mock)
    for operation in operations.values():
        words = {old: new for new, old in operation.status_words.items()}
        meant = entries if operation.kind is None else {operation.kind.name: entries[operation.kind.name]}
        if operation.role == "submit" and operation.kind is None:
            meant = {kind: entries[kind] for kind in _kinds_of_models(context) if kind in entries}
        for keys in operation.status_at:
            allowed = _allowed(context, operation, keys)
            if not allowed:
                continue
            sent = {state: words.get(state, state) for _, entry in meant.values() for state in names_in(entry)}
            for path, entry in dict(meant.values()).items():
                for place, state in _places_of(entry):
                    if operation.role == "submit" and state != next(iter(entry["states"])):
                        continue  # a new task is in its first state
                    if sent[state] not in allowed:
                        unused = [each for each in allowed if each not in sent.values()]
                        what = f"{sent[state]!r} is not in the enum that the schema of the answer has for it"
                        context.report((*path, *place), what, suggestion(sent[state], unused))


def _kinds_of_models(context: Context) -> dict[str | None, None]:
    """Return the kinds of task that the models make."""
    return {
        model.get("kind"): None
        for document in context.documents
        for model in document.data["x-mock"]["models"].values()
    }


def _places_of(entry: dict[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield the states of a lifecycle, and where each stands."""
    for part in ("states", "ends"):
        for state in entry[part]:
            yield (part, state), state
    for end, each in entry["ends"].items():
        for state in as_mapping(each, "kind").get("through", ()):
            yield ("ends", end, "through", state), state


def _allowed(context: Context, operation: Operation, keys: tuple[str, ...]) -> list[str]:
    """Return the words that the schema of an answer allows at a place; none where it does not list them."""
    document = context.lead
    entry = document.data["paths"][operation.path.removeprefix(operation.base)][operation.method.lower()]
    response = document.followed(entry.get("responses", {}).get(str(operation.status)))
    media: Any = response.get("content", {}).get(JSON, {})
    schema = document.followed(media.get("schema"))
    for key in keys:
        schema = document.followed(schema.get("properties", {}).get(key))
    found = schema.get("enum", ())
    return list(map(str, found))
