"""A provider's errors, told apart by what its spec says of their status, code, type and shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.server.extract import Extractor, misfit

if TYPE_CHECKING:
    from contracts.server.client import Call
    from contracts.server.spec import Spec
    from mockserver.provider import ErrorAnswer


def refusal(spec: Spec, call: Call) -> ErrorAnswer | None:
    """Return the provider's error that an answer is; None where it is none of them."""
    return next((error for error in spec.provider.errors.values() if difference(spec, error, call) is None), None)


def difference(spec: Spec, error: ErrorAnswer, call: Call) -> str | None:
    """Say in what an answer is not one of the provider's errors; None where it is this one."""
    if call.status != error.status:
        return f"status {call.status} instead of {error.status}"
    template = spec.error_body(error)
    if call.json is None:
        return "a body that is no JSON"
    found = misfit(template, call.json)
    if found is not None:
        return f"a body where {found}"
    places = Extractor(spec, [template])
    facts = {"$error.status": error.status, "$error.code": error.code, "$error.type": error.type}
    for fact, value in facts.items():
        if fact in places and places.read(fact, call.json) != value:
            return f"{fact.removeprefix('$error.')} {places.read(fact, call.json)!r} instead of {value!r}"
    if "$error.message" in places and not isinstance(places.read("$error.message", call.json), str):
        return "no message"
    return None


def nearest(spec: Spec, call: Call) -> str:
    """Say in what an answer differs from those of the provider's errors that have its status."""
    same = [error for error in spec.provider.errors.values() if error.status == call.status]
    if not same:
        return f"status {call.status}, which is none of the provider's errors"
    return difference(spec, same[0], call) or ""
