"""A field whose type differs from the documented type."""

from dataclasses import dataclass
from typing import Any

import orjson

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.json_edit import FIELD, field_changed
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class OtherType(Fault):
    family = "meaning"
    effect = (
        "One field of the response has another type: numbers and booleans become strings, strings become lists, "
        "lists and objects are wrapped in an object."
    )
    symptom = "A client that trusts the schema fails when it uses the field."
    undocumented = True
    hides_result = True
    withholds_links = True
    not_for_clients = "no document says what to do: a client may stop, or ask again"

    field: str = parameter("", FIELD)

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        return field_changed(response, self.field, injection, _other)


def _other(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return {"value": value} if isinstance(value, list | dict) else orjson.dumps(value).decode()
