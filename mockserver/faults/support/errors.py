"""Errors in a provider's own format, by status or by name in its spec."""

from dataclasses import replace
from http import HTTPStatus

from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Response
from mockserver.engine.render import error_response, refusal_response
from mockserver.provider import ErrorAnswer, Problem, Provider


def error_asked_for(context: RequestContext, status: int, name: str) -> Response:
    """Answer with the error of this name or, without a name, of this status; refuse an unknown name."""
    errors = context.state.provider.errors
    if not name:
        return provoked(context, _error_of(context.state.provider, status))
    if name not in errors:
        return refused(context, f"unknown error {name[:80]!r}; known: {', '.join(errors)}")
    return provoked(context, errors[name])


def unknown_error(provider: Provider, name: str) -> str | None:
    """Return an error message if a provider has no error of this name."""
    if not name or name in provider.errors:
        return None
    return f"{provider.title} has no error {name[:80]!r}; it has {', '.join(provider.errors)}"


def _error_of(provider: Provider, status: int) -> ErrorAnswer:
    """Return the error that a provider declares for a status.

    If it declares none, use the format of one of its server errors, or of its error for an unknown path, with
    the status as code.
    """
    errors = provider.errors.values()
    declared = (
        *(error for error in errors if error.status == status),
        *(error for error in errors if error.code == status),  # if only the body contains the status
    )
    if declared:
        return declared[0]
    like = provider.refusals["unknown_path"]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        like = next((error for error in errors if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR), like)
    return replace(like, name=f"status_{status}", status=status, code=status)


def provoked(context: RequestContext, error: ErrorAnswer, message: str = "this error was requested") -> Response:
    """Answer with an error that a fault caused."""
    context.problem = Problem(message)
    response = error_response(context, error)
    response.gate = "fault"
    return response


def refused(context: RequestContext, message: str) -> Response:
    """Answer that the fault request is invalid."""
    return refusal_response(context, "fault", ("invalid_parameter", Problem(message)))
