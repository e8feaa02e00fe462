"""Requests that stay open while their task goes on: a submit that waits for the end, and a stream of events.

A watch is looked at when something can have changed, and when a command has changed its task. What happens then is
worked out here, for the instant of the look; the edge sends it. They stand in the queue of the world, so that they
follow the clock as callbacks do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from mockserver.engine.callbacks import Due, EventQueue, Watch
from mockserver.engine.context import RequestContext
from mockserver.engine.messages import Response
from mockserver.engine.render import rendered_headers
from mockserver.engine.stages import stages
from mockserver.engine.state import ProviderState
from mockserver.engine.task import Task, ended
from mockserver.provider import Operation

EVENT_STREAM = "text/event-stream"
#: No instant: nothing is to be looked at until a command changes the task.
NEVER_MS = 1 << 62
_WAIT = re.compile(r"wait(?:\s*=\s*\"?([0-9]{1,9})\"?)?", re.IGNORECASE)


class Step(NamedTuple):
    """What a look at a task has led to: what is to be sent, and when to look again; None: it is over."""

    content: Any
    next_ms: int | None


class Following(NamedTuple):
    """What a request follows: of which task, and what a look at an instant leads to."""

    provider: str
    task_id: str
    step: Callable[[int], Step]
    #: The content is a stream of events; otherwise, it is one response at the end.
    streams: bool


def wait_ms(context: RequestContext, operation: Operation) -> int:
    """Return how long a submit waits for its task: as the spec says, or as the client prefers."""
    rule = operation.wait
    assert rule is not None
    if rule.seconds is not None:
        seconds = rule.seconds(context)
        whole = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        return round(min(max(0, seconds), rule.at_most_s) * 1000) if whole else 0
    for preference in (context.header("Prefer") or "").replace(";", ",").split(","):
        found = _WAIT.fullmatch(preference.strip())
        if found is not None:
            return round(min(rule.prefer_s if found[1] is None else int(found[1]), rule.at_most_s) * 1000)
    return 0


def waiting(context: RequestContext, until_ms: int, answer: Callable[[], Response]) -> Following:
    """Return what a submit follows that waits for its task's end; the answer is then rendered anew."""
    task = context.task
    assert task is not None
    state, task_id = context.state, task.id

    def step(now_ms: int) -> Step:
        current = state.tasks.get(task_id)
        if current is not None and not ended(current, now_ms) and now_ms < until_ms:
            return Step(None, until_ms if current.held_ms is not None else min(until_ms, current.ends_ms))
        context.now_ms = now_ms
        context.set_task(current or task)
        return Step(answer(), None)

    return Following(state.provider.name, task_id, step, streams=False)


def streaming(context: RequestContext, operation: Operation) -> Following:
    """Return what a stream of events follows: an event at first, and whenever what it shows has changed."""
    task, rule, state = context.task, operation.stream, context.state
    assert task is not None
    assert rule is not None
    task_id, sent = task.id, [b""]

    def step(now_ms: int) -> Step:
        current = state.tasks.get(task_id)
        if current is None:
            return Step(b"", None)
        context.now_ms = now_ms
        context.set_task(current)
        event = _event(context, operation)
        content, sent[0] = b"" if event == sent[0] else event, event
        if not context.status.ended:
            return Step(content, _next_ms(current, now_ms, rule.every_ms))
        return Step(content + (_lines("data", rule.last) if rule.last else b""), None)

    return Following(state.provider.name, task_id, step, streams=True)


def stream_response(context: RequestContext, operation: Operation) -> Response:
    """Return the head of a stream of events."""
    headers = (("Cache-Control", "no-store"), *rendered_headers(context, operation.headers))
    return Response(operation.status, b"", EVENT_STREAM, headers)


def _event(context: RequestContext, operation: Operation) -> bytes:
    rule = operation.stream
    assert rule is not None
    name = None if rule.event is None else rule.event(context)
    body = context.body_of(operation)
    data = body if isinstance(body, str) else orjson.dumps(body).decode()
    head = b"" if name is None else b"event: " + " ".join(str(name).split()).encode() + b"\n"
    return head + _lines("data", data)


def _lines(field: str, text: str) -> bytes:
    """Write a text as the lines of a field, and end the event."""
    return "".join(f"{field}: {line}\n" for line in re.split(r"\r\n|\r|\n", text)).encode() + b"\n"


def _next_ms(task: Task, now_ms: int, every_ms: int | None) -> int:
    """Return when what is seen of a task may change next."""
    if task.held_ms is not None and now_ms >= task.held_ms:
        return NEVER_MS
    later = [at_ms for at_ms, _ in stages(task) if at_ms > now_ms]
    if every_ms is not None:
        later.append(now_ms + every_ms - (now_ms - task.submitted_ms) % every_ms)
    return min((*later, task.ends_ms))


def look_again(state: ProviderState, task_id: str, now_ms: int, booked: list[tuple[int, Due]]) -> None:
    """Look at a task again that was changed, for all that follow it."""
    for watch in state.watches.get(task_id, ()):
        watch.due_ms = now_ms
        booked.append((now_ms, watch))


def watch_of(following: Following, send: Callable[[int, Step], None], drop: Callable[[], None]) -> Watch:
    """Return a watch that sends what each look leads to; `drop` is called if its world ends."""

    def look(now_ms: int) -> int | None:
        step = following.step(now_ms)
        send(now_ms, step)
        return step.next_ms

    return Watch(following.provider, following.task_id, look, drop)


class Watches:
    """The requests of one world that follow a task."""

    __slots__ = ("_providers", "_queue")

    def __init__(self, providers: Mapping[str, ProviderState], queue: EventQueue) -> None:
        self._providers = providers
        self._queue = queue

    def add(self, watch: Watch, now_ms: int) -> None:
        """Look at the task of a watch, now and whenever it may have changed, until a look says that it is over."""
        self._providers[watch.provider].watches.setdefault(watch.task_id, []).append(watch)
        self.look(watch, now_ms)

    def remove(self, watch: Watch) -> None:
        """Look no more."""
        watches, watch.due_ms = self._providers[watch.provider].watches, -1
        left = [each for each in watches.get(watch.task_id, ()) if each is not watch]
        if left:
            watches[watch.task_id] = left
        else:
            watches.pop(watch.task_id, None)

    def drop_all(self) -> None:
        """Tell all that their world has ended."""
        for state in self._providers.values():
            for watch in [each for watches in state.watches.values() for each in watches]:
                self.remove(watch)
                watch.drop()

    def look(self, watch: Watch, now_ms: int) -> None:
        """Look at a task, and put the next look into the queue."""
        next_ms = watch.look(now_ms)
        if next_ms is None:
            self.remove(watch)
            return
        watch.due_ms = next_ms
        if next_ms != NEVER_MS:
            self._queue.put(next_ms, watch)
