"""What a test demands of a client, as sentences: `mock_server.evolink.submitted(times=1)`.

Each fails with an `AssertionError` that says what was seen, and shows the journal. Times are mock time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from mockserver.clock import instant_of
from mockserver.edge.runtime import Runtime
from mockserver.provider import Role
from mockserver.testing.journal_lines import shown_journal

#: Waits are compared to the millisecond of the journal.
_ROUNDING_S = 0.001


class Assertions:
    """The assertions about the requests to one provider."""

    def __init__(self, runtime: Runtime, name: str, perform: Any) -> None:
        self._runtime = runtime
        self._perform = perform
        self.name = name

    def submitted(self, times: int | None = None) -> None:
        """Demand that jobs were submitted and accepted, `times` times or at least once."""
        self._count("submitted", self._of_role("submit"), times)

    def cancelled(self, times: int | None = None) -> None:
        """Demand that tasks were cancelled, `times` times or at least once."""
        self._count("cancelled", self._of_role("cancel"), times)

    def downloaded(self, times: int | None = None) -> None:
        """Demand that results were downloaded, `times` times or at least once."""
        self._count("downloaded", self._of_role("result"), times)

    def called_back(self, times: int | None = None) -> None:
        """Demand that callbacks were acknowledged, `times` times or at least once."""
        found = [each for each in self._records("delivery") if each["outcome"] == "acknowledged"]
        self._count("called back", found, times)

    def polled(
        self,
        times: int | None = None,
        *,
        task: str | None = None,
        at_least_every_s: float | None = None,
        at_most_every_s: float | None = None,
    ) -> None:
        """Demand that tasks were polled, `times` times or at least once, and how often.

        Args:
            times: how many polls there are.
            task: count the polls of this task only.
            at_least_every_s: from a task's submit to its first poll, and from poll to poll, this is the longest wait.
            at_most_every_s: from poll to poll of one task, this is the shortest wait.
        """
        polls = [each for each in self._of_role("query") if task in (None, each["task"])]
        self._count("polled", polls, times)
        submits = {each["task"]: _at_s(each) for each in self._of_role("submit")}
        by_task: dict[str, list[float]] = {}
        for each in polls:
            by_task.setdefault(each["task"], []).append(_at_s(each))
        for name, instants in by_task.items():
            waits = [later - earlier for earlier, later in pairwise(instants)]
            since_submit = [instants[0] - submits[name]] if name in submits else []
            longest, shortest = max([*since_submit, *waits], default=0.0), min(waits, default=None)
            if at_least_every_s is not None and longest > at_least_every_s + _ROUNDING_S:
                self._fail(f"task {name} was not polled for {longest:g} s; expected is every {at_least_every_s:g} s")
            if at_most_every_s is not None and shortest is not None and shortest < at_most_every_s - _ROUNDING_S:
                self._fail(f"task {name} was polled after {shortest:g} s; expected are {at_most_every_s:g} s")

    def _records(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._perform(
            lambda: list(self._runtime.journal.records(kind=kind, provider=self.name))
        )
        return found

    def _of_role(self, role: Role) -> list[dict[str, Any]]:
        """Return the requests to operations with a role that were accepted."""
        operations = self._runtime.world.providers[self.name].provider.operations
        return list(self._accepted({name for name, each in operations.items() if each.role == role}))

    def _accepted(self, operations: set[str]) -> Iterator[dict[str, Any]]:
        for each in self._records("exchange"):
            response = each["response"]
            if each["operation"] in operations and response is not None and response["status"] < 400:
                yield each

    def _count(self, what: str, found: list[dict[str, Any]], times: int | None) -> None:
        if times is None and not found:
            self._fail(f"{self.name} was not {what}")
        if times is not None and len(found) != times:
            self._fail(f"{self.name} was {what} {_times(len(found))}; {_times(times)} expected")

    def _fail(self, message: str) -> None:
        """Fail with what was seen."""
        __tracebackhide__ = True
        runtime = self._runtime
        records = self._perform(lambda: list(runtime.journal.records(provider=self.name)))
        shown = shown_journal(records, is_manual=runtime.settings.clock == "manual") or "(it has no records)"
        raise AssertionError(f"{message}; the journal of {self.name}:\n{shown}")


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _at_s(record: dict[str, Any]) -> float:
    return instant_of(record["at"]) / 1000
