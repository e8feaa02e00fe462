"""Compile errors, result files, uploads and callbacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mockserver.provider import (
    Callbacks,
    CallbackTarget,
    ErrorAnswer,
    FileRefusal,
    Lifecycle,
    ResultKind,
    Signature,
    Uploads,
)
from mockserver.spec.compile.constants import check_result_values
from mockserver.spec.compile.context import OF_CALLBACKS, Context
from mockserver.spec.compile.lifecycles import lifecycle_entries, state_names
from mockserver.spec.vocabulary import conditions
from mockserver.spec.words import suggestion

#: Conditions that have the error of another one, unless the spec lists them.
_FALLBACKS = {
    "quota_exceeded": "rate_exceeded",
    "not_deletable": "not_cancellable",
    "unknown_parent": "unknown_task",
    "parent_not_ready": "invalid_body",
}
_NO_SUCH_FILE = {"status": 404, "content_type": "text/plain", "body": "no such file"}


def compile_error(context: Context, name: str, entry: dict[str, Any]) -> ErrorAnswer:
    """Compile one of the provider's errors."""
    path = ("x-mock", "errors", name)
    body = (
        context.value(entry["body"], *path, "body")
        if "body" in entry
        else context.value(context.mock["error_body"], "x-mock", "error_body")
    )
    return ErrorAnswer(
        name=name,
        status=entry["status"],
        code=entry.get("code", entry["status"]),
        type=entry.get("type"),
        message=context.value(entry["message"], *path, "message"),
        body=body,
        retry_after=entry.get("retry_after", False),
        retry_after_s=entry.get("retry_after_s"),
        headers=context.headers(entry.get("headers", {}), *path, "headers"),
    )


def compile_refusals(context: Context, errors: Mapping[str, ErrorAnswer]) -> dict[str, ErrorAnswer]:
    """Map each condition to its error; each condition needs exactly one error."""
    refusals: dict[str, ErrorAnswer] = {}
    for name, entry in context.mock["errors"].items():
        for index, condition in enumerate(entry.get("when", ())):
            if condition in refusals:
                context.report(
                    ("x-mock", "errors", name, "when", index),
                    f"{condition} is already in the `when` of {refusals[condition].name}",
                    "keep one of the two",
                )
            refusals[condition] = errors[name]
    for condition, other in _FALLBACKS.items():
        if condition not in refusals and other in refusals:
            refusals[condition] = refusals[other]
    missing = [condition for condition in conditions() if condition not in refusals]
    if missing:
        context.report(
            ("x-mock", "errors"),
            f"no error has {', '.join(missing)} in its `when`",
            "add each to the `when` of the error that the provider sends",
        )
    return refusals


def compile_result(context: Context, name: str, entry: dict[str, Any]) -> ResultKind:
    """Compile a kind of result file."""
    path = ("x-mock", "results", name)
    check_result_values(context, name, entry)
    refusals = entry.get("refusals", {})
    missing = _refusal(context, refusals.get("missing", _NO_SUCH_FILE), *path, "refusals", "missing")
    signature = entry.get("signature", {})
    return ResultKind(
        name=name,
        media=entry["media"],
        path=context.base_of(entry["path"]) + entry["path"],
        count=context.value(entry.get("count", 1), *path, "count"),
        duration_s=context.value(entry.get("duration_s", 6), *path, "duration_s"),
        short_side_px=context.value(entry.get("short_side_px", 720), *path, "short_side_px"),
        ratio=context.value(entry.get("ratio", "16:9"), *path, "ratio"),
        lifetime_s=entry["lifetime_s"],
        expires_parameter=signature.get("expires_parameter"),
        signature_parameter=signature.get("signature_parameter"),
        missing=missing,
        expired=_refusal(context, refusals["expired"], *path, "refusals", "expired")
        if "expired" in refusals
        else missing,
        unsigned=_refusal(context, refusals["unsigned"], *path, "refusals", "unsigned")
        if "unsigned" in refusals
        else missing,
    )


def _refusal(context: Context, entry: dict[str, Any], *path: str | int) -> FileRefusal:
    return FileRefusal(entry["status"], entry["content_type"], context.value(entry["body"], *path, "body"))


def compile_uploads(context: Context, lifecycle: Lifecycle) -> Uploads | None:
    """Compile the rules of uploads, if the provider accepts them."""
    entry = context.mock.get("uploads")
    if entry is None:
        return None
    path = ("x-mock", "uploads")
    reason = entry.get("missing_reason")
    if ("referenced_by" in entry or reason is not None) and reason not in lifecycle.failure.reasons:
        context.report(
            (*path, "missing_reason"),
            f"must be a reason of the failure; got {reason!r}",
            suggestion(reason, lifecycle.failure.reasons),
        )
    return Uploads(
        path=context.base_of(entry["path"]) + entry["path"],
        field=entry["field"],
        max_bytes=entry["max_bytes"],
        media_types=tuple(entry["media_types"]),
        keeps=entry.get("keeps", 100),
        referenced_by=tuple(context.value(each, *path, "referenced_by") for each in entry.get("referenced_by", ())),
        missing_reason=reason,
    )


def compile_callbacks(context: Context) -> Callbacks | None:
    """Compile the rules of callbacks, if the provider sends them."""
    entry = context.mock.get("callbacks")
    if entry is None:
        return None
    path = ("x-mock", "callbacks")
    known = state_names(context)
    ends = {end for _, each in lifecycle_entries(context.mock).values() for end in each["ends"]}
    for state in entry["events"]:
        if state not in known:
            context.report((*path, "events", state), "is not a state of the lifecycle", suggestion(state, known))
    if not re.match(r"\$(request\.body|input)#/.", entry["url"]):
        fix = "write $request.body#/ and the field's name"
        context.report((*path, "url"), f"{entry['url']} is no field of the submit body", fix)
    signature = entry.get("signature")
    target = entry.get("target", {})
    acknowledged = entry["acknowledged_by"]
    return Callbacks(
        url=context.value(entry["url"], *path, "url"),
        url_keys=tuple(entry["url"].partition("#/")[2].split("/")),
        events={state: context.value(template, *path, "events", state) for state, template in entry["events"].items()},
        headers=context.headers(entry.get("headers", {}), *path, "headers", own=OF_CALLBACKS),
        signature=None
        if signature is None
        else Signature(
            header=signature["header"],
            algorithm=signature["algorithm"],
            encoding=signature["encoding"],
            prefix=signature.get("prefix", ""),
            default_secret=signature["default_secret"],
        ),
        acknowledged=frozenset(range(200, 300) if acknowledged == "2xx" else acknowledged),
        timeout_s=entry["timeout_s"],
        retry_after_ms=tuple(round(seconds * 1000) for seconds in entry["retry_after_s"]),
        target=CallbackTarget(
            schemes=tuple(target.get("schemes", ("http", "https"))),
            internal_addresses_refused=target.get("internal_addresses", "refused") == "refused",
            max_length=target.get("max_length", 2048),
        ),
        waits_from_first=entry.get("retry_counted_from") == "first_attempt",
        stages=frozenset(entry["events"]) - ends,
    )
