"""A field that is null."""

from dataclasses import dataclass

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.json_edit import FIELD, field_changed
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class NullField(Fault):
    family = "meaning"
    effect = "One field of the response is null."
    symptom = "A client that trusts the schema fails when it uses the field."
    undocumented = True
    hides_result = True
    withholds_links = True
    not_for_clients = "no document says what to do: a client may stop, or ask again"

    field: str = parameter("", FIELD)

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        return field_changed(response, self.field, injection, lambda _value: None)
