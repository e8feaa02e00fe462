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
    symptom = "A client that trusts the schema fails where it uses the field."
    hides_result = True

<<<<<<< HEAD
    field: str = parameter("", FIELD)
=======
    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "One field of the answer is null."
    symptom: ClassVar[str] = "A client that trusts the schema fails where it uses the field."
    hides_result: ClassVar[bool] = True
    withholds_links: ClassVar[bool] = True

    field: str = parameter("", "JSON pointer to the field, as /data/status; empty is one that is drawn.")
>>>>>>> contracts2

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        return field_changed(response, self.field, injection, lambda _value: None)
