"""Progress that goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.scope import Scope
    from mockserver.engine.task import Standing, Task


@dataclass(frozen=True)
class ProgressBack(Fault):
    """Progress that goes back."""

    family: ClassVar[str] = "meaning"
    breaks: ClassVar[str] = "Every second answer shows less progress than the one before."
    notice: ClassVar[str] = "A client that trusts progress to grow fails, or shows nonsense."

    by_percent: int = parameter(20, "How far it goes back.", "percent", least=1, most=100)

    def shown(self, strike: Strike, scope: Scope) -> None:
        """Show less, every second time."""
        if strike.rule.matches % 2:
            return

        def less(_task: Task, stood: Standing) -> Standing:
            if stood.ended or not stood.progress:
                return stood
            strike.land()
            return stood._replace(progress=max(0, stood.progress - self.by_percent))

        scope.restood = (*scope.restood, less)
