"""Links that lead to a host that does not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import orjson

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class WrongHost(Fault):
    """Links that lead to a host that does not exist."""

    family: ClassVar[str] = "results"
    effect: ClassVar[str] = "The links in the answer name another host."
    symptom: ClassVar[str] = "The download fails because the name is not known."
    roles: ClassVar[frozenset[Role] | None] = frozenset(
        (
            "query",
            "list",
        )
    )
    hides_result: ClassVar[bool] = True
    withholds_links: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("link to an unknown host"),)

    host: str = parameter("cdn.invalid", "The host that is named.")

    def alter_response(self, injection: Injection, context: RequestContext, response: Response) -> Response | None:
        """Replace the address in the links."""
        here, there = (orjson.dumps(f"{url}/")[1:-1] for url in (context.state.server_url, f"https://{self.host}"))
        body = response.body.replace(here, there)
        return None if body == response.body else replace(response, body=body)
