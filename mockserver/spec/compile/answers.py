"""Compile errors, result files, uploads and callbacks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mockserver.media.specimens import can_make, makeable
from mockserver.provider import (
    Callbacks,
    CallbackTarget,
    ErrorAnswer,
    FileRefusal,
    Lifecycle,
    ResultKind,
    Uploads,
)
from mockserver.spec.compile.constants import check_result_values
from mockserver.spec.compile.context import Context
from mockserver.spec.compile.lifecycles import lifecycle_entries, state_names
from mockserver.spec.compile.signatures import (
    compile_filter,
    compile_headers,
    compile_signature,
    is_timed,
    of_scheme,
)
from mockserver.spec.document import Path_
from mockserver.spec.vocabulary import conditions
from mockserver.spec.words import suggestion

#: Conditions that have the error of another one, unless the spec lists them.
_FALLBACKS = {
    "quota_exceeded": "rate_exceeded",
    "idempotency_conflict": "invalid_body",
    "not_deletable": "not_cancellable",
    "unknown_parent": "unknown_task",
    "parent_not_ready": "invalid_body",
    "not_ready": "unknown_task",
}
_DAY_S = 86_400
_MISSING = {"status": 500, "message": ""}
_NO_SUCH_FILE = {"status": 404, "content_type": "text/plain", "body": "no such file"}


def compile_error(context: Context, name: str, entry: dict[str, Any]) -> ErrorAnswer:
    """Compile one of the provider's errors."""
    path = ("x-mock", "errors", name)
    for key in ("status", "message"):
        if key not in entry:
            context.report(path, f"missing required key `{key}`", "specs/x-mock.schema.json describes it")
            entry = {**entry, key: _MISSING[key]}
    if "body" not in entry and "error_body" not in context.mock:
        context.report(("x-mock",), "missing required key `error_body`", "add it, or write `errors: http`")
    body = (
        context.value(entry["body"], *path, "body")
        if "body" in entry
        else context.value(context.mock.get("error_body"), "x-mock", "error_body")
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
        content_type=entry.get("content_type", "application/json"),
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
    """Compile a kind of result file, with its variants."""
    path: Path_ = ("x-mock", "results", name)
    check_result_values(context, name, entry)
    kind = _result_kind(context, name, entry, path)
    variants = entry.get("variants")
    if variants is None:
        return kind
    where = (*path, "variants")
    shared = {key: each for key, each in entry.items() if key not in ("variants", "content")}
    return replace(
        kind,
        variant=context.value(variants["by"], *where, "by"),
        variants={
            key: _result_kind(context, name, {**shared, **each}, (*where, "values", key))
            for key, each in variants["values"].items()
        },
    )


def _result_kind(context: Context, name: str, entry: dict[str, Any], path: Path_) -> ResultKind:
    if "content" not in entry and not can_make(entry["media"]):
        fix = suggestion(entry["media"], makeable())
        context.report((*path, "media"), f"no {entry['media']} can be made: write its `content`", fix)
    refusals = entry.get("refusals", {})
    missing = _refusal(context, refusals.get("missing", _NO_SUCH_FILE), *path, "refusals", "missing")
    signature = entry.get("signature", {})
    route = context.base_of(entry["path"]) + entry["path"] if "path" in entry else ""
    return ResultKind(
        name=name,
        media=entry["media"],
        path=route,
        count=context.value(entry.get("count", 1), *path, "count"),
        duration_s=context.value(entry.get("duration_s", 6), *path, "duration_s"),
        short_side_px=context.value(entry.get("short_side_px", 720), *path, "short_side_px"),
        ratio=context.value(entry.get("ratio", "16:9"), *path, "ratio"),
        lifetime_s=entry.get("lifetime_s", _DAY_S),
        expires_parameter=signature.get("expires_parameter"),
        signature_parameter=signature.get("signature_parameter"),
        missing=missing,
        expired=_refusal(context, refusals["expired"], *path, "refusals", "expired")
        if "expired" in refusals
        else missing,
        unsigned=_refusal(context, refusals["unsigned"], *path, "refusals", "unsigned")
        if "unsigned" in refusals
        else missing,
        link=_link(context, entry, route) if route else "",
        content=context.value(entry["content"], *path, "content") if "content" in entry else None,
    )


def _link(context: Context, entry: dict[str, Any], route: str) -> str:
    """Return what links are made of: where the operation has names of its own, those stand for the usual ones."""
    item = context.lead.data["paths"].get(entry["path"], {})
    mock = item.get("get", {}).get("x-mock") or {}
    for key, usual in (("task", "task_id"), ("index", "index")):
        named = str(mock.get(key, ""))
        if named.startswith("$request.path."):
            route = route.replace(f"{{{named.removeprefix('$request.path.')}}}", f"{{{usual}}}")
        elif named.startswith("$request.query.") and (key == "task" or entry.get("count", 1) != 1):
            route += f"{'&' if '?' in route else '?'}{named.removeprefix('$request.query.')}={{{usual}}}"
    return route


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
    url = entry.get("url")
    if url is not None and not re.match(r"\$(request\.body|input)#/.", url):
        fix = "write $request.body#/ and the field's name"
        context.report((*path, "url"), f"{url} is no field of the submit body", fix)
    written, of_scheme_too = of_scheme(entry.get("signature", {}))
    headers, sent_headers = compile_headers(context, {**of_scheme_too, **entry.get("headers", {})})
    texts = [text for _, text in sent_headers]
    signature = compile_signature(context, written, texts) if "signature" in entry else None
    target = entry.get("target", {})
    acknowledged = entry["acknowledged_by"]
    return Callbacks(
        url=context.value(url, *path, "url"),
        url_keys=() if url is None else tuple(url.partition("#/")[2].split("/")),
        events={state: context.value(template, *path, "events", state) for state, template in entry["events"].items()},
        headers=headers,
        signature=signature,
        sent_headers=sent_headers,
        is_timed=is_timed(signature, texts),
        default_url=entry.get("default_url"),
        filter=compile_filter(context, entry.get("filter"), entry["events"]),
        shows_id="scheme" in entry.get("signature", {}) or "$callback.id" in json.dumps(entry),
        has_terms="wanted" in entry.get("filter", {})
        or bool(signature and (signature.header_from or signature.secret_from)),
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
