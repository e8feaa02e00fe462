"""A model name in the response that differs from the request's."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.json_edit import edited, mapped
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ModelEcho(Fault):
    family = "meaning"
    effect = "The response names the model differently."
    symptom = "A client that looks up its task by the model does not find it."
    undocumented = True
    roles = frozenset(("submit", "query"))
    exercised_with = (Exercise("another model name in answers"),)

    name_as: str = parameter("gemini-omni-internal", "The name in the response.")

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        name = None if context.task is None else context.task.model.name
        return edited(response, lambda body: mapped(body, lambda value: self.name_as if value == name else value))
