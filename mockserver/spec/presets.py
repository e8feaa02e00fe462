"""Errors that many APIs have in common, so that a spec names them with one word: every condition, with its status.

A spec may change them one by one: an error of the same name is changed, and a condition that an error of the spec has
is taken from the preset's.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from mockserver.spec.document import merge_patch

#: The errors of every preset, by what most APIs call them.
_ERRORS: Mapping[str, dict[str, Any]] = {
    "invalid_request": {
        "status": 400,
        "when": [
            *("malformed_body", "invalid_body", "invalid_parameter", "unknown_model", "callback_refused"),
            "wrong_endpoint",
        ],
    },
    "content_policy_violation": {"status": 400, "when": ["content_refused"]},
    "unauthorized": {"status": 401, "when": ["missing_key", "invalid_key"]},
    "payment_required": {"status": 402, "when": ["insufficient_credits"]},
    "forbidden": {"status": 403, "when": ["plan_forbidden"]},
    "not_found": {"status": 404, "when": ["unknown_path", "unknown_task", "malformed_task_id"]},
    "method_not_allowed": {"status": 405, "when": ["unsupported_method"]},
    "request_timeout": {"status": 408, "when": ["request_timeout"]},
    "conflict": {"status": 409, "when": ["not_cancellable"]},
    "payload_too_large": {"status": 413, "when": ["body_too_large"]},
    "unsupported_media_type": {"status": 415, "when": ["unsupported_media_type"]},
    "too_many_requests": {
        "status": 429,
        "retry_after": True,
        "when": ["rate_exceeded", "quota_exceeded", "concurrency_exceeded"],
    },
    "internal_error": {"status": 500, "message": "internal error"},
    "unavailable": {"status": 503, "message": "temporarily unavailable", "retry_after": True},
}
_TYPES = {
    "unauthorized": "authentication_error",
    "forbidden": "permission_error",
    "too_many_requests": "rate_limit_error",
    "internal_error": "server_error",
    "unavailable": "server_error",
}
#: The names of google.rpc.Code that go with the statuses.
_RPC = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_BODIES: Mapping[str, Any] = {
    "http": {
        "error": {
            "message": "$error.message",
            "type": "$error.type",
            "param": "$problem.field",
            "code": "$error.code",
        }
    },
    "envelope": {"code": "$error.code", "message": "$error.message", "request_id": "$request_id"},
    "problem+json": {
        "type": "about:blank",
        "title": "$error.type",
        "status": "$error.status",
        "detail": "$error.message",
    },
    "rpc": {"error": {"code": "$error.status", "message": "$error.message", "status": "$error.type"}},
}


def errors_of(preset: str) -> dict[str, dict[str, Any]]:
    """Return the errors of a preset, as a spec would write them."""
    return {name: _error(preset, name, entry) for name, entry in _ERRORS.items()}


def _error(preset: str, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    status: int = entry["status"]
    types = {"http": _TYPES.get(name, "invalid_request_error"), "rpc": _RPC[status]}
    made = {
        "message": "{$problem.message}",
        "code": name,
        "type": types.get(preset, HTTPStatus(status).phrase),
        **entry,
    }
    return {**made, "content_type": "application/problem+json"} if preset == "problem+json" else made


def with_presets(mock: dict[str, Any]) -> dict[str, Any]:
    """Return the root extension of a spec with its errors written out."""
    errors = mock.get("errors")
    own = {"preset": errors} if isinstance(errors, str) else errors
    preset = str(own.get("preset")) if isinstance(own, dict) else ""
    if not isinstance(own, dict) or preset not in _BODIES:
        return mock
    changes = {name: entry for name, entry in own.items() if name != "preset"}
    taken = {condition for entry in changes.values() for condition in entry.get("when", ())}
    out: dict[str, Any] = {}
    for name, entry in errors_of(preset).items():
        change = changes.pop(name, {})
        when = [condition for condition in entry.get("when", ()) if condition not in taken]
        out[name] = {**merge_patch(entry, change), "when": [*when, *change.get("when", ())]}
    return {"error_body": _BODIES[preset], **mock, "errors": {**out, **changes}}
