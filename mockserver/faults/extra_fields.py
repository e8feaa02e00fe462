"""Undocumented fields."""

from dataclasses import dataclass
from typing import Any

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.json_edit import edited
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ExtraFields(Fault):
    family = "meaning"
    effect = "Every object in the response has an additional field."
    symptom = "A client that rejects unknown fields fails."
    undocumented = True
    exercised_with = (Exercise("additional fields"),)

    field: str = parameter("x_internal", "Name of the field.")

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        return edited(response, self._more)

    def _more(self, value: Any) -> Any:
        if isinstance(value, dict):
            more = {key: self._more(each) for key, each in value.items()}
            return {**more, self.field: {"version": 2, "tags": ["a", None]}}
        return [self._more(each) for each in value] if isinstance(value, list) else value
