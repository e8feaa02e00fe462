"""One of the provider's errors in response to a valid request."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mockserver.clock import http_date
from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import error_asked_for, unknown_error
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Provider

_TOO_MANY = 429
_LEAST_OF_SERVER = 500
#: Permanent errors, and errors that a retry may not meet.
_FINAL = frozenset((400, 401, 402, 403, 422))
_PASSING = frozenset((_TOO_MANY, 455, 500, 502, 503, 504, 505))


@dataclass(frozen=True)
class Error(Fault):
    family = "answers"
    effect = "The request is refused with one of the provider's errors; nothing else happens."
    symptom = "The call fails with the provider's error; a retry may succeed."

    status: int = parameter(
        503, "Status of the error; the spec's first error with this status is sent.", "", least=400, most=599
    )
    error: str = parameter("", "Name of the error in the spec; needed if several errors have the status.")
    retry_after: str = parameter(
        "as_documented", "The form of Retry-After.", choices=("as_documented", "none", "seconds", "date")
    )
    retry_after_s: int = parameter(5, "The value of Retry-After.", "seconds")

    @classmethod
    def exercises(cls, provider: Provider) -> Iterator[Exercise]:
        """Yield each error status of the provider, permanent and temporary."""
        # In some dialects the status of every error is 200; only the body contains the real one.
        known = {each for error in provider.errors.values() for each in (error.status, error.code)}
        for status in sorted(_FINAL & known):
            yield Exercise(f"submit refused: {status}", {"status": status}, "submit")
            yield Exercise(f"submits refused in bulk: {status}", {"status": status}, "submit", jobs=3)
        for status in sorted(_PASSING & known):
            for times in (1, 2, 3):
                yield Exercise(f"submit fails temporarily: {status} x{times}", {"status": status}, "submit", times)
                yield Exercise(f"query fails temporarily: {status} x{times}", {"status": status}, "query", times)
            yield Exercise(f"submit always fails: {status}", {"status": status}, "submit")
            yield Exercise(f"query always fails: {status}", {"status": status}, "query")
        most = max((status for status in _PASSING & known if status >= _LEAST_OF_SERVER), default=_TOO_MANY)
        yield Exercise("every second query fails", {"status": 500 if 500 in known else most}, "query", every=2)
        if _TOO_MANY in known:
            for kind in ("seconds", "date"):
                yield Exercise(
                    f"Retry-After in {kind}", {"status": _TOO_MANY, "retry_after": kind, "retry_after_s": 7}, times=2
                )
            for role in ("submit", "query"):
                again = {"status": _TOO_MANY, "retry_after": "seconds", "retry_after_s": 20}
                yield Exercise(f"Retry-After again and again: {role}", again, role, times=3)
            yield Exercise("429 in bulk", {"status": _TOO_MANY, "retry_after": "none"}, "submit", times=9, jobs=6)

    def problem(self, provider: Provider) -> str | None:
        return unknown_error(provider, self.error)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        response = error_asked_for(context, self.status, self.error)
        if self.retry_after == "as_documented":
            return response
        headers = tuple(pair for pair in response.headers if pair[0] != "Retry-After")
        if self.retry_after == "seconds":
            headers = (*headers, ("Retry-After", str(self.retry_after_s)))
        elif self.retry_after == "date":
            at_s = context.now_ms // 1000 + self.retry_after_s
            headers = (*headers, ("Retry-After", http_date(at_s)))
        return replace(response, headers=headers)
