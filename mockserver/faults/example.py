"""An example from the spec instead of a real response."""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import refused
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class Example(Fault):
    family = "answers"
    effect = "The response is an example from the spec; the request has no effect."
    symptom = "Ids and links in the response do not exist."
    not_for_clients = "a client asks for an example itself, with the header Prefer"

    example: str = parameter("", "Name of the example in the spec; empty: the first successful one.")

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Answer with the example of this name, if the operation has one."""
        operation = context.operation
        if operation is None:
            return None
        for name, status, body in operation.examples:
            if name == self.example or (not self.example and status < HTTPStatus.MULTIPLE_CHOICES):
                return Response(status, orjson.dumps(body), gate="fault", error=None)
        known = ", ".join(dict.fromkeys(name for name, _, _ in operation.examples)) or "none"
        return refused(context, f"unknown example {self.example!r} of {operation.id}; known: {known}")
