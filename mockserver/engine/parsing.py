"""The gates that read the body: what it must be depends on the operation."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

import orjson
from multidict import istr

from mockserver.engine.body import BodyError, parse_json
from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Fields, Request
from mockserver.engine.render import Refused
from mockserver.provider import BodyForm, FormField, Operation, Problem

#: Looked up without being lowered each time.
CONTENT_TYPE = istr("Content-Type")
_FORMS = {"application/x-www-form-urlencoded": "form", "multipart/form-data": "multipart"}
_MOST_FIELDS = 1000


def shortened(text: str) -> str:
    """Return the beginning of what a client sent."""
    return text if len(text) <= 80 else f"{text[:80]}…"


def parse(context: RequestContext) -> Refused | None:
    """Is the body well-formed JSON?"""
    request = context.request
    if not request.body and not request.broken and _takes_none(context):
        context.body = {}
        return None
    content_type = request.headers.get(CONTENT_TYPE, "")
    if content_type != "application/json" and not is_json(content_type):
        return "unsupported_media_type", Problem("send JSON, with Content-Type: application/json")
    if request.broken:
        return "malformed_body", Problem("the body could not be read: invalid chunking or Content-Encoding")
    try:
        context.body = parse_json(request.body, request.loaded)
    except BodyError as error:
        return "malformed_body", Problem(str(error))
    return None


def parse_any(context: RequestContext) -> Refused | None:
    """Is the body one of those that the operation takes?"""
    request, operation = context.request, context.operation
    assert operation is not None
    if not request.body and not request.broken and not operation.body_required:
        context.body = {}
        return None
    content_type = request.headers.get(CONTENT_TYPE, "")
    form = context.form = form_of(operation, content_type, strict=context.state.rules.validation == "strict")
    if form is None:
        types = ", ".join(dict.fromkeys(each.media_type for each in operation.bodies))
        sends = f"got {shortened(content_type)}" if content_type else "got none"
        return "unsupported_media_type", Problem(f"send Content-Type: {types}; {sends}")
    if request.broken:
        return "malformed_body", Problem("the body could not be read: invalid chunking or Content-Encoding")
    if form.kind == "json":
        return parse(context)
    if form.kind == "raw":
        context.body = {}
        return None if request.body else ("malformed_body", Problem("the body is empty"))
    found = fields_of(request, form)
    if found.problem is not None:
        return "malformed_body", Problem(found.problem)
    for each in found.fields:
        wanted = form.files.get(each.name)
        if wanted and each.file_name is not None and not any(fnmatchcase(each.media_type, kind) for kind in wanted):
            return "invalid_body", Problem(f"{each.name}: must be a file of type {' or '.join(wanted)}", each.name)
    context.body = form.read(found.fields)
    return None


def form_of(operation: Operation, content_type: str, *, strict: bool) -> BodyForm | None:
    """Return which of the bodies that an operation takes has this Content-Type."""
    media_type = content_type.partition(";")[0].strip().lower()
    found = next((each for each in operation.bodies if fnmatchcase(media_type, each.media_type)), None)
    if found is not None or strict:
        return found
    kind = "json" if is_json(media_type) else _FORMS.get(media_type, "raw")
    return next((each for each in operation.bodies if each.kind == kind), None)


def fields_of(request: Request, form: BodyForm) -> Fields:
    """Return the fields of a form."""
    if form.kind == "multipart":
        return request.fields or Fields(problem="the body is not well-formed multipart/form-data")
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        return Fields(problem=f"the body is not a well-formed form: {error}")
    return Fields(tuple(FormField(name, text.encode()) for name, text in pairs))


def body_of(context: RequestContext) -> Any:
    """Return the body as far as it can be read, for those that look at it before the gates do."""
    request, operation = context.request, context.operation
    assert operation is not None
    if operation.bodies:
        form = form_of(operation, request.headers.get(CONTENT_TYPE, ""), strict=False)
        if form is not None and form.kind in ("form", "multipart"):
            return form.read(fields_of(request, form).fields)
    try:
        request.loaded = orjson.loads(request.body) if request.body else None
    except orjson.JSONDecodeError:
        request.loaded = None
    return request.loaded


def _takes_none(context: RequestContext) -> bool:
    """Tell whether a submit needs no body: all that it says is which task it goes on from."""
    operation = context.operation
    return operation is not None and operation.parent is not None and not operation.media_types


def parse_form(context: RequestContext) -> Refused | None:
    """Is the body a form with a file?"""
    form = context.request.form
    if form is None:
        return "unsupported_media_type", Problem("send the file as multipart/form-data")
    return None if form.problem is None else ("malformed_body", Problem(form.problem))


def parse_declared(context: RequestContext) -> Refused | None:
    """Is the body of a declared media type, and well-formed if it is JSON? Where none is declared, none is read."""
    request, operation = context.request, context.operation
    assert operation is not None
    if not operation.media_types:
        return None
    validation = context.state.rules.validation
    if not request.body and not request.broken:
        problem = Problem("a body is required")
        return ("invalid_body", problem) if operation.body_required and validation != "off" else None
    content_type = request.headers.get(CONTENT_TYPE, "")
    media_type = content_type.partition(";")[0].strip().lower()
    if validation == "strict" and not any(
        fnmatchcase(media_type, each.partition(";")[0].strip().lower()) for each in operation.media_types
    ):
        sends = f"got {shortened(media_type)}" if media_type else "got none"
        return "unsupported_media_type", Problem(f"send Content-Type: {', '.join(operation.media_types)}; {sends}")
    return parse(context) if request.broken or is_json(content_type) else None


def is_json(content_type: str) -> bool:
    """Tell whether a Content-Type is one of JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
