"""Requests about tasks, written from the spec: which method, target and body a task id or a link leads to."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote, urlencode

from contracts.server.spec import Spec
from mockserver.provider import Operation
from mockserver.spec.pointer import pointed


def task_request(spec: Spec, operation: Operation, task_id: str) -> tuple[str, str, bytes]:
    """Return the method, target and body of an operation about a task."""
    place, _, name = str(spec.raw_operations[operation.id]["x-mock"]["task"]).partition("request.")[2].partition(".")
    if place == "path":
        return operation.method, operation.path.replace(f"{{{name}}}", quote(task_id, safe="")), b""
    if place == "query":
        return operation.method, f"{operation.path}?{urlencode({name: task_id})}", b""
    keys = place.partition("#/")[2].split("/")
    return operation.method, operation.path, json.dumps(nested({}, keys, task_id)).encode()


def read_request(spec: Spec, unused_id: str) -> tuple[str, str]:
    """Return the method and target of a request that requires a key and changes nothing."""
    for operation in spec.of_role("balance"):
        if operation.method == "GET" and operation.secured:
            return operation.method, operation.path
    method, target, _ = task_request(spec, spec.of_role("query")[0], unused_id)
    return method, target


def unused_task_id(spec: Spec, seed: int, now_ms: int) -> str:
    """Return a well-formed id of a task that does not exist."""
    drawn = random.Random(f"{seed} unused").randbytes(64)  # noqa: S311 - not a secret
    return spec.provider.task_id(drawn, now_ms // 1000)


def linked_request(operation: Operation, parameters: dict[str, str], answer: Any) -> tuple[str, str] | None:
    """Return the method and target that a link leads to; None if the answer lacks what it needs."""
    path, query = operation.path, {}
    for name, expression in parameters.items():
        place, _, pointer = expression.partition("#/")
        value = pointed(answer, tuple(pointer.split("/"))) if place == "$response.body" else None
        if not isinstance(value, str | int):
            return None
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        else:
            query[name] = str(value)
    return operation.method, f"{path}?{urlencode(query)}" if query else path


def nested(value: dict[str, Any], keys: list[str], leaf: Any) -> dict[str, Any]:
    """Put a leaf into nested objects."""
    inner = value
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = leaf
    return value
