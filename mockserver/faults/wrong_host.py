"""Links that lead to a host that does not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import orjson

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.operations import Reply
    from mockserver.engine.scope import Scope
    from mockserver.provider import Role


@dataclass(frozen=True)
class WrongHost(Fault):
    """Links that lead to a host that does not exist."""

    family: ClassVar[str] = "results"
    breaks: ClassVar[str] = "The links in the answer name another host."
    notice: ClassVar[str] = "The download fails because the name is not known."
    roles: ClassVar[frozenset[Role] | None] = frozenset(
        (
            "query",
            "list",
        )
    )

    host: str = parameter("cdn.invalid", "The host that is named.")

    def answered(self, strike: Strike, scope: Scope, reply: Reply) -> Reply | None:
        """Replace the address in the links."""
        here, there = (orjson.dumps(f"{url}/")[1:-1] for url in (scope.space.server_url, f"https://{self.host}"))
        body = reply.body.replace(here, there)
        return None if body == reply.body else replace(reply, body=body)
