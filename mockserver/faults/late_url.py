"""A task that has succeeded, and whose files are not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mockserver.engine.context import RequestContext, View
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.task import Task
from mockserver.faults.support.parameters import parameter
from mockserver.provider import Role


@dataclass(frozen=True)
class LateUrl(Fault):
    """A task that has succeeded, and whose files are not there yet."""

    family: ClassVar[str] = "meaning"
    effect: ClassVar[str] = "For some seconds after the end, the answer lacks the links."
    symptom: ClassVar[str] = "A client that takes the end for the result finds nothing to download."
    roles: ClassVar[frozenset[Role] | None] = frozenset(
        (
            "query",
            "list",
        )
    )
    hides_result: ClassVar[bool] = True
    withholds_links: ClassVar[bool] = True
    exercised_with: ClassVar[tuple[Exercise, ...]] = (Exercise("link comes later", {"for_s": 25.0}),)

    for_s: float = parameter(10.0, "How long the links are missing after the end.", "seconds of mock time")

    def alter_view(self, injection: Injection, context: RequestContext, view: View) -> View | None:
        """Hide the links for a while."""

        def hides(task: Task) -> bool:
            if context.now_ms >= task.ends_ms + self.for_s * 1000:
                return False
            injection.mark_applied()
            return True

        return view.with_hidden_results(hides)
