"""Errors in a provider's own shape, by status or by the name in its spec."""

from dataclasses import replace
from http import HTTPStatus

from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Response
from mockserver.engine.render import error_response, refusal_response
from mockserver.provider import ErrorAnswer, Problem, Provider


def error_asked_for(context: RequestContext, status: int, name: str) -> Response:
    """Answer with the error of a name, or where none is named, of a status; with words where there is no such name."""
    errors = context.state.provider.errors
    if not name:
        return provoked(context, _error_of(context.state.provider, status))
    if name not in errors:
        return refused(context, f"there is no error {name[:80]!r} to answer with; there are {', '.join(errors)}")
    return provoked(context, errors[name])


def unknown_error(provider: Provider, name: str) -> str | None:
    """Say that a provider has no error of this name; None where it has, or where none is named."""
    if not name or name in provider.errors:
        return None
    return f"{provider.title} has no error {name[:80]!r}; it has {', '.join(provider.errors)}"


def _error_of(provider: Provider, status: int) -> ErrorAnswer:
    """Return the error that a provider declares for a status.

    Where it declares none, its shape carries the status all the same, in the words of an error of the server's
    or of a path that it does not know; the code is then the status.
    """
    errors = provider.errors.values()
    declared = (
        *(error for error in errors if error.status == status),
        *(error for error in errors if error.code == status),  # where the body says what the status does not
    )
    if declared:
        return declared[0]
    like = provider.refusals["unknown_path"]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        like = next((error for error in errors if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR), like)
    return replace(like, name=f"status_{status}", status=status, code=status)


def provoked(context: RequestContext, error: ErrorAnswer, message: str = "this error was asked for") -> Response:
    """Answer with an error that nothing but a fault is the reason of."""
    context.problem = Problem(message)
    response = error_response(context, error)
    response.gate = "fault"
    return response


def refused(context: RequestContext, message: str) -> Response:
    """Answer that what was asked for makes no sense."""
    return refusal_response(context, "fault", ("invalid_parameter", Problem(message)))
