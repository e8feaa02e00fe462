"""Replay: which recorded submit a new one is like, and the task that lives through the recorded course.

A submit is like a recorded one of the same operation if their bodies are equal, callback URLs apart; or else if they
have the same model and fields, and only prompts and URLs differ. Of several that are alike, each is used in turn, and
then again from the first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mockserver.engine.admission import prompts_of
from mockserver.engine.context import RequestContext
from mockserver.engine.course import Course, Recording
from mockserver.engine.renewal import dumped
from mockserver.engine.state import ProviderState
from mockserver.engine.task import Task
from mockserver.provider import Operation

_Key = tuple[str, bytes]
#: What stands for a text that may differ.
_ANY = "*"


class Replay:
    """The recorded courses of one provider in one world, and how often each was used."""

    __slots__ = ("_alike", "_equal", "_strange", "_used")

    def __init__(self, state: ProviderState, recording: Recording) -> None:
        self._equal: dict[_Key, list[Course]] = defaultdict(list)
        self._alike: dict[_Key, list[Course]] = defaultdict(list)
        self._used: Counter[int] = Counter()
        #: Those whose bodies the spec refuses.
        self._strange: set[int] = set()
        for course in recording.courses:
            context = RequestContext(state, 0)
            context.body = course.recorded.body
            equal, alike = _keys(context, course.operation)
            self._equal[equal].append(course)
            self._alike[alike].append(course)
            if not course.is_refusal:
                self._learn(context, course)
        state.recorded = self.has_accepted

    def _learn(self, context: RequestContext, course: Course) -> None:
        """Serve the model of an accepted submit, and remember whether the spec refuses its body."""
        models, operation = context.state.models, context.state.provider.operations[course.operation]
        name = None if operation.model is None else operation.model(context)
        if not isinstance(name, str):
            return
        models.add_alias(operation, name, context.body)
        model = models.find(operation, name, context.body)
        if model is None or not model.request.accepts(context.body):
            self._strange.add(course.seq)

    def has_accepted(self, context: RequestContext, equal: bool) -> bool:
        """Tell whether a submit is equal to an accepted one, or like one that the spec refuses as well."""
        assert context.operation is not None
        same, alike = _keys(context, context.operation.id)
        found = [each for each in self._equal.get(same, ()) if not each.is_refusal]
        if not equal:
            found += [each for each in self._alike.get(alike, ()) if each.seq in self._strange]
        return bool(found)

    def _like(self, context: RequestContext, operation: Operation) -> list[Course]:
        equal, alike = _keys(context, operation.id)
        return self._equal.get(equal) or self._alike.get(alike) or []

    def find(self, context: RequestContext, operation: Operation) -> Course | None:
        """Return the recorded submit that is next for a new one; None if none is like it."""
        found = self._like(context, operation)
        if not found:
            return None
        course = min(found, key=lambda each: self._used[each.seq])
        self._used[course.seq] += 1
        return course


def _keys(context: RequestContext, operation: str) -> tuple[_Key, _Key]:
    """Return what the equal submits and the similar submits of an operation have in common."""
    body, callbacks = context.body, context.state.provider.callbacks
    callback_url = callbacks.url(context) if callbacks is not None else None
    own = {callback_url} if isinstance(callback_url, str) else set()
    texts = own | set(prompts_of(context))
    return (operation, _key(body, own)), (operation, _key(body, texts, urls=True))


def _key(body: Any, texts: set[str], *, urls: bool = False) -> bytes:
    return dumped(_masked(body, texts, urls=urls))


def _masked(value: Any, texts: set[str], *, urls: bool) -> Any:
    if isinstance(value, dict):
        return {key: _masked(value[key], texts, urls=urls) for key in sorted(value)}
    if isinstance(value, list):
        return [_masked(each, texts, urls=urls) for each in value]
    return _ANY if isinstance(value, str) and (value in texts or (urls and "://" in value)) else value


def with_course(task: Task, course: Course, results: Sequence[Any]) -> Task:
    """Return a new task that lives through a recorded course."""
    now_ms, files = task.submitted_ms, course.recorded.files
    result = task.result or (next(iter(results), None) if files else None)
    if result is not None:
        result = replace(
            result,
            count=(lambda _: files) if files else result.count,
            lifetime_s=course.lifetime_s or result.lifetime_s,
        )
    states = course.states or task.model.states[:1]
    entered_ms = tuple(now_ms + each for each in course.entered_ms)
    last_ms = entered_ms[-1] if entered_ms else now_ms
    ends_ms = last_ms + 1 if course.ends_ms is None else now_ms + course.ends_ms
    end = course.end or task.end
    return task._replace(
        model=replace(task.model, states=states),
        entered_ms=entered_ms,
        due_ms=ends_ms,
        ends_ms=ends_ms,
        held_ms=last_ms if course.end is None else None,
        end=end,
        reason=next(iter(end.reasons.values()), None),
        result=result,
        course=course,
    )
