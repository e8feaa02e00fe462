"""The recorded course of a task: what a provider answered about it and when, to be shown again for another task.

Times are milliseconds after the submit. Bodies are as they were recorded; `engine/renewal.py` puts new ids, links and
times into them. A course knows no clock: what it shows is a function of the time since the submit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from mockserver.provider import End, State

Pairs = tuple[tuple[str, str], ...]


class Shown(NamedTuple):
    """A recorded answer, and from when on it is shown."""

    from_ms: int
    status: int
    headers: Pairs
    content_type: str
    #: The body as JSON; where it was none, its text.
    body: Any
    is_json: bool
    #: The recorded request id, which the body may contain.
    request_id: str
    #: The error's name in the spec, if it is known.
    error: str | None


class RecordedCallback(NamedTuple):
    """A recorded callback: when it was first sent."""

    delay_ms: int
    event: str
    body: Any
    is_json: bool
    headers: Pairs


@dataclass(frozen=True, slots=True)
class Identity:
    """What belongs to a recorded task alone: it is replaced wherever it occurs."""

    #: When it was submitted, in milliseconds since 1970.
    at_ms: int
    #: Empty if the submit was refused.
    task_id: str
    account_id: str
    #: The body of its submit.
    body: Any
    #: Links to its files, with their numbers, and links to the API, with their paths.
    links: tuple[tuple[str, int], ...] = ()
    api_links: Pairs = ()
    #: When it was cancelled, in milliseconds after its submit, and how much later the new task was.
    cancelled_ms: int = 0
    cancelled_later_ms: int = 0

    @property
    def files(self) -> int:
        """How many files its answers linked to."""
        return max((number for _, number in self.links), default=-1) + 1


@dataclass(frozen=True, slots=True)
class Course:
    """What was recorded of one submit: its answer, and the course of its task, if it was accepted."""

    #: The number of the submit's record.
    seq: int
    #: The id of the submit's operation.
    operation: str
    recorded: Identity
    submit: Shown
    #: Answers about the task by operation, in order.
    answers: Mapping[str, tuple[Shown, ...]] = field(default_factory=dict)
    #: None: the recording has no callbacks of any task, so that they are sent as the spec says.
    callbacks: tuple[RecordedCallback, ...] | None = None
    #: The states before the end, and when each after the first was entered.
    states: tuple[State, ...] = ()
    entered_ms: tuple[int, ...] = ()
    #: How and when it ended; None if that was not recorded: it then stays in its last state.
    end: End | None = None
    ends_ms: int | None = None
    #: How long its links last after the end, if that was told.
    lifetime_s: int | None = None
    #: What followed after its client cancelled it, in milliseconds after that; None if that was not recorded.
    cancelled: Course | None = None
    #: How often its task had been changed by commands when the course began.
    revision: int = 0

    @property
    def is_refusal(self) -> bool:
        """Whether the submit made no task."""
        return not self.recorded.task_id

    def begun(self, after_ms: int, revision: int) -> Course:
        """Return the course of what followed a cancellation, for a task that was cancelled so long after its submit."""
        later = {
            name: tuple(each._replace(from_ms=each.from_ms + after_ms) for each in answers)
            for name, answers in self.answers.items()
        }
        recorded = replace(self.recorded, cancelled_later_ms=after_ms - self.recorded.cancelled_ms)
        return replace(self, recorded=recorded, answers=later, revision=revision)

    def shown(self, operation: str, since_ms: int) -> Shown | None:
        """Return the answer of an operation so long after the submit; None before the first recorded one."""
        if operation == self.operation:
            return self.submit
        answers = self.answers.get(operation, ())
        index = bisect_right(answers, since_ms, key=lambda each: each.from_ms)
        return answers[index - 1] if index else None


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded of one provider, in order."""

    courses: tuple[Course, ...]

    def __str__(self) -> str:
        tasks = [each for each in self.courses if not each.is_refusal]
        refusals = len(self.courses) - len(tasks)
        endless = sum(1 for each in tasks if each.end is None)
        parts = [f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"]
        if endless:
            parts.append(f"{endless} of them without an end")
        if refusals:
            parts.append(f"{refusals} refused submit{'' if refusals == 1 else 's'}")
        return ", ".join(parts)
