"""The gates that read the body: what it must be depends on the operation."""

from __future__ import annotations

from fnmatch import fnmatchcase

from multidict import istr

from mockserver.engine.body import BodyError, parse_json
from mockserver.engine.context import RequestContext
from mockserver.engine.render import Refused
from mockserver.provider import Problem

#: Looked up without being lowered each time.
CONTENT_TYPE = istr("Content-Type")


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
