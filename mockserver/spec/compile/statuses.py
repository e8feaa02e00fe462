"""Checks that the answers to a task's queries may call its states what they call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockserver.provider import Operation
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.lifecycles import as_mapping, state_names
from mockserver.spec.compile.operations import JSON
from mockserver.spec.words import suggestion


def check_statuses(context: Context, operations: Mapping[str, Operation]) -> None:
    """Report states that the schema of an answer does not list."""
    lifecycle = context.mock["lifecycle"]
    for operation in operations.values():
        words = {old: new for new, old in operation.status_words.items()}
        for keys in operation.status_at:
            allowed = _allowed(context, operation, keys)
            sent = {state: words.get(state, state) for state in state_names(context)}
            for part in ("states", "ends"):
                for state in lifecycle[part]:
                    if operation.role == "submit" and state != next(iter(lifecycle["states"])):
                        continue  # a new task is in its first state
                    if allowed and sent[state] not in allowed:
                        unused = [each for each in allowed if each not in sent.values()]
                        what = f"{sent[state]!r} is not in the enum that the schema of the answer has for it"
                        context.report(("x-mock", "lifecycle", part, state), what, suggestion(sent[state], unused))
            for end, entry in lifecycle["ends"].items():
                for state in as_mapping(entry, "kind").get("through", ()):
                    if allowed and sent[state] not in allowed and operation.role != "submit":
                        unused = [each for each in allowed if each not in sent.values()]
                        what = f"{sent[state]!r} is not in the enum that the schema of the answer has for it"
                        place = ("x-mock", "lifecycle", "ends", end, "through", state)
                        context.report(place, what, suggestion(sent[state], unused))


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
