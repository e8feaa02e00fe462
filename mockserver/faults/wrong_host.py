"""Links to a host that does not exist."""

from dataclasses import dataclass, replace

import orjson

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class WrongHost(Fault):
    family = "results"
    effect = "The links in the answer name another host."
    symptom = "The download fails because the host name does not resolve."
    undocumented = True
    roles = frozenset(("query", "list"))
    hides_result = True
    withholds_links = True
    exercised_with = (Exercise("link to an unknown host"),)

    host: str = parameter("cdn.invalid", "The host in the links.")

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        there = orjson.dumps(f"https://{self.host}/")[1:-1]
        body = response.body
        for here in context.link_urls:
            body = body.replace(orjson.dumps(f"{here}/")[1:-1], there)
        return None if body == response.body else replace(response, body=body)
