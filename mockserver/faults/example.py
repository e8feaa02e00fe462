"""An example out of the spec in place of a real answer."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

import orjson

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.errors import refused
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class Example(Fault):
    """An example out of the spec in place of a real answer."""

    family: ClassVar[str] = "answers"
    effect: ClassVar[str] = "The answer is the spec's own example; nothing happens."
    symptom: ClassVar[str] = "Ids and links in the answer lead nowhere."
    not_for_clients: ClassVar[str] = "a client asks for an example itself, with the header Prefer"

    example: str = parameter("", "Name of the example in the spec; empty is the first one of a success.")

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Answer with the example, where the operation has one of this name."""
        operation = context.operation
        if operation is None:
            return None
        for name, status, body in operation.examples:
            if name == self.example or (not self.example and status < HTTPStatus.MULTIPLE_CHOICES):
                return Response(status, orjson.dumps(body), gate="fault", error=None)
        known = ", ".join(dict.fromkeys(name for name, _, _ in operation.examples)) or "none"
        return refused(context, f"there is no example {self.example!r} of {operation.id}; there are {known}")
