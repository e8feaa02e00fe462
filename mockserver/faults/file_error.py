"""A download that the file host refuses."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class FileError(Fault):
    family = "results"
    effect = "The file host responds with an error instead of the file."
    symptom = "The download fails although the task succeeded; a retry may succeed."
    roles = frozenset(("result",))
    exercised_with = tuple(
        Exercise(f"file refused: {status}{' once' if times else ''}", {"status": status}, times=times)
        for status in (403, 404, 500)
        for times in (1, None)
    )

    status: int = parameter(403, "Status of the response.", least=400, most=599)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        return Response(self.status, b"the store cannot serve this", "text/plain", gate="fault", error="file_error")
