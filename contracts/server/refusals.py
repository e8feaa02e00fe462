"""Identify a provider's errors by the status, code, type and shape in its spec."""

from __future__ import annotations

from contracts.server.call import Call
from contracts.server.extract import Extractor, mismatch
from contracts.server.spec import Spec
from mockserver.provider import ErrorAnswer


def refusal(spec: Spec, call: Call) -> ErrorAnswer | None:
    """Return the provider's error that an answer is; None if it is not one."""
    return next((error for error in spec.provider.errors.values() if difference(spec, error, call) is None), None)


def difference(spec: Spec, error: ErrorAnswer, call: Call) -> str | None:
    """Say how an answer differs from one of the provider's errors; None if it does not."""
    if call.status != error.status:
        return f"status {call.status} instead of {error.status}"
    template = spec.error_body(error)
    if call.json is None:
        return "a body that is not JSON"
    found = mismatch(template, call.json)
    if found is not None:
        return f"a body where {found}"
    extractor = Extractor(spec, [template])
    facts = {"$error.status": error.status, "$error.code": error.code, "$error.type": error.type}
    for fact, value in facts.items():
        if fact in extractor and extractor.read(fact, call.json) != value:
            return f"{fact.removeprefix('$error.')} {extractor.read(fact, call.json)!r} instead of {value!r}"
    if "$error.message" in extractor and not isinstance(extractor.read("$error.message", call.json), str):
        return "no message"
    return None


def nearest(spec: Spec, call: Call) -> str:
    """Say how an answer differs from the provider's error with the same status."""
    same = [error for error in spec.provider.errors.values() if error.status == call.status]
    if not same:
        return f"status {call.status}, which no error of the provider has"
    return difference(spec, same[0], call) or ""
